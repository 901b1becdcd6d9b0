//! The demo's loop: the script, the buttons, the nodes' answers and their falls, one after
//! the other.

use super::DemoArgs;
use super::cast::CAST;
use super::control::{self, DemoState, FaultState, Order, ScriptOrder};
use super::faults;
use super::folder::Folder;
use super::narration::{Narration, Who};
use super::stage::Stage;
use super::story::{Act, Output, STEPS, Story};
use super::views::{self, Expect, Views};
use crate::cli::{Failure, screen};
use andon_model::Instant;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// Orders waiting; a person presses slower.
const ORDERS_MAX: usize = 32;
/// How long five nodes may take to agree at the start before the demo says what it sees.
const START_MAX: Duration = Duration::from_secs(30);
/// A verdict must stand so long before it is told, so that first guesses are not.
const NEWS_SETTLE: Duration = Duration::from_millis(1_200);
/// How often a node that fell by itself is started again.
const RESTARTS_MAX: u32 = 3;

/// Sets the stage and directs until something fails; the caller ends it.
pub async fn direct(args: &DemoArgs, folder: &Folder) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener =
        listener.map_err(|error| Failure::new(format!("cannot listen on loopback: {error}")))?;
    let control = listener
        .local_addr()
        .map_err(|error| Failure::new(error.to_string()))?;
    let (orders_tx, orders) = mpsc::channel(ORDERS_MAX);
    let (state, state_rx) = watch::channel(DemoState::default());
    tokio::spawn(control::serve(listener, state_rx, orders_tx));

    let clock = std::time::Instant::now();
    let mut stage = Stage::set(args.port, folder, control).await?;
    let views = views::follow(stage.addresses.clone());
    wait_for_agreement(&mut stage, views.clone(), clock).await?;
    let url = format!("http://{}/", stage.addresses[0]);
    screen::print(&format!(
        "\n  The picture, live:  {url}\n  and on every other node:"
    ))?;
    for address in &stage.addresses[1..] {
        screen::print(&format!(" http://{address}/"))?;
    }
    screen::print("\n  Ctrl-C ends the demo and leaves nothing behind.\n\n")?;
    if !args.no_browser {
        open_browser(&url);
    }
    let director = Director {
        stage,
        story: (!args.no_script).then(|| Story::new(STEPS)),
        narration: Narration::start(),
        state,
        clock,
        news: BTreeMap::new(),
        changed_at: Instant(0),
        told_done: false,
        restarts: 0,
    };
    director.run(views, orders).await
}

async fn wait_for_agreement(
    stage: &mut Stage,
    mut views: watch::Receiver<Views>,
    clock: std::time::Instant,
) -> Result<(), Failure> {
    let live = std::io::stdout().is_terminal();
    loop {
        let waited = clock.elapsed().as_secs_f64();
        let agreeing = count_agreeing(&views.borrow_and_update());
        if agreeing == CAST.len() {
            let clear = if live { "\r\x1b[K" } else { "" };
            screen::print(&format!(
                "{clear}{agreeing} nodes found each other and agree, {waited:.1} s after the start\n"
            ))?;
            return Ok(());
        }
        if live {
            screen::print(&format!(
                "\rwaiting for {} nodes to agree: {agreeing} do ... {waited:.1} s\x1b[K",
                CAST.len()
            ))?;
        }
        if let Some((node, words)) = stage.fallen().into_iter().next() {
            return Err(Failure::new(format!(
                "{} did not start; the end of its log:\n  {words}",
                CAST[node].id
            )));
        }
        if clock.elapsed() > START_MAX {
            screen::print(
                "\nthe nodes do not agree yet that all is well; going on, look at the page\n",
            )?;
            return Ok(());
        }
        let _ = tokio::time::timeout(Duration::from_millis(100), views.changed()).await;
    }
}

/// Nodes in whose picture all is well, with the same digest as the first of them.
fn count_agreeing(views: &Views) -> usize {
    let well = || {
        views
            .0
            .iter()
            .flatten()
            .filter(|view| Expect::AllWell.holds(view))
    };
    let digest = well().next().map(|view| view.digest);
    well()
        .filter(|view| Some(&view.digest) == digest.as_ref())
        .count()
}

/// A browser only where somebody sits in front of it.
fn open_browser(url: &str) {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if display && std::io::stdout().is_terminal() {
        let quiet = std::process::Stdio::null;
        let opened = std::process::Command::new("xdg-open")
            .arg(url)
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn();
        if let Ok(mut child) = opened {
            // Collected so that it does not stay as a zombie; it may live as long as the browser.
            std::thread::spawn(move || child.wait());
        }
    }
}

struct News {
    since: Instant,
    told: bool,
}

struct Director {
    stage: Stage,
    story: Option<Story>,
    narration: Narration,
    state: watch::Sender<DemoState>,
    clock: std::time::Instant,
    /// Verdicts while no script plays, by id: since when most nodes say it, and whether it was told.
    news: BTreeMap<String, News>,
    /// When a plug was last touched by hand.
    changed_at: Instant,
    told_done: bool,
    restarts: u32,
}

impl Director {
    async fn run(
        mut self,
        mut views: watch::Receiver<Views>,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<(), Failure> {
        if self.story.is_none() {
            self.narration.tell(
                Who::Demo,
                "no script: pull the plugs with the buttons on the page",
            );
        }
        loop {
            self.publish();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.order(order)?,
                    None => return Err(Failure::new("the demo's control stopped")),
                },
                changed = views.changed() => if changed.is_err() {
                    return Err(Failure::new("nobody asks the nodes any more"));
                },
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
            self.look_after_fallen()?;
            let now = self.now();
            let seen = views.borrow_and_update().clone();
            match &mut self.story {
                Some(story) => {
                    for output in story.wake(now, &seen) {
                        self.play(output)?;
                    }
                }
                None => self.tell_news(now, &seen),
            }
            self.tell_end();
        }
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn play(&mut self, output: Output) -> Result<(), Failure> {
        match output {
            Output::Told(text) => self.narration.tell(Who::Demo, text),
            Output::Act(Act::Look) => {}
            Output::Act(Act::Pull(fault)) => self.switch(fault, true)?,
            Output::Act(Act::Mend(fault)) => self.switch(fault, false)?,
            Output::Seen {
                sentence,
                nodes,
                took,
            } => {
                let took = took.as_secs_f64();
                let text = match sentence.as_str() {
                    "" => format!("All is well: all {nodes} nodes say so after {took:.1} s."),
                    sentence => format!("{sentence} ({nodes} of {nodes} nodes after {took:.1} s)"),
                };
                self.narration.tell(Who::Andon, &text);
            }
            Output::Unseen { nodes, of } => {
                let text =
                    format!("only {nodes} of {of} nodes say what the script expects; going on");
                self.narration.tell(Who::Demo, &text);
            }
        }
        Ok(())
    }

    fn switch(&mut self, fault: &'static str, on: bool) -> Result<(), Failure> {
        let switched = self.stage.switch(fault, on);
        switched
            .map(|_| ())
            .map_err(|error| Failure::new(format!("cannot start a node again: {error}")))
    }

    fn order(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Fault(fault, on) => {
                if let Some(story) = self
                    .story
                    .as_mut()
                    .filter(|story| !story.is_paused() && !story.is_done())
                {
                    story.pause();
                    self.narration.tell(
                        Who::Demo,
                        "a plug was touched by hand: the script pauses after this step",
                    );
                }
                if self.stage.is_active(fault) != on {
                    let label = faults::by_id(fault).map_or(fault, |fault| fault.label);
                    let verb = if on { "by hand" } else { "by hand, mended" };
                    self.narration.tell(Who::Demo, &format!("{verb}: {label}"));
                    self.changed_at = self.now();
                }
                self.switch(fault, on)
            }
            Order::Script(ScriptOrder::Pause) => {
                if let Some(story) = &mut self.story {
                    story.pause();
                }
                Ok(())
            }
            Order::Script(ScriptOrder::Resume) => {
                match &mut self.story {
                    Some(story) => story.resume(),
                    None => self.story = Some(Story::new(STEPS)),
                }
                Ok(())
            }
            Order::Script(ScriptOrder::Restart) => {
                self.stage
                    .heal()
                    .map_err(|error| Failure::new(format!("cannot start a node again: {error}")))?;
                self.story = Some(Story::new(STEPS));
                self.told_done = false;
                self.narration
                    .tell(Who::Demo, "everything is mended; the script begins again");
                Ok(())
            }
        }
    }

    /// Without a script: tells each verdict when most nodes say it, and when they no longer do.
    fn tell_news(&mut self, now: Instant, views: &Views) {
        let asked = views.0.iter().flatten().count();
        let mut said: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for view in views.0.iter().flatten() {
            for verdict in view
                .verdicts
                .iter()
                .filter(|verdict| verdict.kind.is_fault())
            {
                said.entry(&verdict.id).or_insert((0, &verdict.sentence)).0 += 1;
            }
        }
        self.news.retain(|id, _| said.contains_key(id.as_str()));
        for (id, (nodes, sentence)) in &said {
            if nodes * 2 <= asked {
                continue;
            }
            let news = self.news.entry((*id).to_owned()).or_insert(News {
                since: now,
                told: false,
            });
            if !news.told && now.since(news.since) >= NEWS_SETTLE {
                news.told = true;
                let after = news.since.since(self.changed_at).as_secs_f64();
                let text = format!(
                    "{sentence} ({nodes} of {asked} nodes, first {after:.1} s after the last change)"
                );
                self.narration.tell(Who::Andon, &text);
            }
        }
        if said.is_empty() && asked == CAST.len() && self.told_wrong() {
            let after = now.since(self.changed_at).as_secs_f64();
            self.narration.tell(
                Who::Andon,
                &format!("All is well, {after:.1} s after the last change."),
            );
        }
    }

    /// Whether the last thing that Andon said was that something is wrong.
    fn told_wrong(&self) -> bool {
        let lines = self.narration.lines();
        let last = lines.iter().rev().find(|line| line.who == Who::Andon);
        last.is_some_and(|line| !line.text.starts_with("All is well"))
    }

    fn tell_end(&mut self) {
        if !self.told_done && self.story.as_ref().is_some_and(Story::is_done) {
            self.told_done = true;
            let text =
                "that was the script. Play with the buttons on the page; Ctrl-C ends the demo.";
            self.narration.tell(Who::Demo, text);
            // From here on the buttons make the news.
            self.story = None;
        }
    }

    /// A node that ended by itself is a bug worth seeing; it is told and started again.
    fn look_after_fallen(&mut self) -> Result<(), Failure> {
        for (node, words) in self.stage.fallen() {
            let text = format!(
                "{} ended by itself; the end of its log: {words}",
                CAST[node].id
            );
            self.narration.tell(Who::Demo, &text);
            self.restarts += 1;
            if self.restarts > RESTARTS_MAX {
                return Err(Failure::new(format!(
                    "{} keeps ending; the end of its log:\n  {words}",
                    CAST[node].id
                )));
            }
            self.stage
                .start(node)
                .map_err(|error| Failure::new(format!("cannot start a node again: {error}")))?;
        }
        Ok(())
    }

    fn publish(&self) {
        let step = self.story.as_ref().and_then(Story::step);
        let script = match &self.story {
            Some(story) if story.is_paused() => "paused",
            Some(_) => "running",
            None if self.told_done => "done",
            None => "off",
        };
        let state = DemoState {
            step: step.map(|step| step.id),
            title: step.map(|step| step.title),
            script,
            log: self.narration.lines(),
            faults: FaultState::all(|fault| self.stage.is_active(fault)),
        };
        self.state.send_replace(state);
    }
}
