//! The picture on a terminal: `andon status`, and `curl` on a node. Like the console's first
//! screen: how the grid is, in words; what is wrong, in sentences; the nodes by site; who
//! reaches whom. Every state has a shape and a word; colour only repeats them.
//!
//! Reads the document alone: no clock, no terminal. Ages are as of the document's making.

use andon_model::id::is_plain_text;
use andon_model::{
    LinkState, LinkView, NodeKind, NodeState, NodeView, PictureView, Timestamp, Transport, Verdict,
    VerdictKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// Up to this many nodes links are drawn node by node, beyond it site by site. More columns
/// than 12 do not fit 80 characters beside the names.
const MATRIX_NODES_MAX: usize = 12;

/// Up to this many nodes each has its line; beyond it a site has one, and its sick nodes.
const NODE_LINES_MAX: usize = 40;

/// Most verdicts in full, most sick nodes named per site, most targets listed.
const LIST_MAX: usize = 12;

/// Longest name shown before it is cut.
const NAME_WIDTH_MAX: usize = 24;

/// Least and most columns; the last keeps sentences readable on wide screens.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=120;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// ANSI colours. Off, nothing is lost but the colour.
    pub color: bool,
    /// Columns; taken as within 40..=120.
    pub width: usize,
    /// Shapes and arrows beyond ASCII.
    pub unicode: bool,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self {
            color: false,
            width: 80,
            unicode: true,
        }
    }
}

/// How the grid is, all in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing to mend.
    Well,
    /// At least one verdict is a fault.
    Wrong,
    /// No other node is known, or nothing was measured yet.
    Unclear,
}

/// How the grid is, from its verdicts and from whether anything is known at all.
pub fn health(view: &PictureView) -> Health {
    if view.verdicts.iter().any(|verdict| verdict.kind.is_fault()) {
        return Health::Wrong;
    }
    let known = |link: &LinkView| {
        matches!(
            link.state,
            LinkState::Up | LinkState::Partial | LinkState::Degraded | LinkState::Down
        )
    };
    if view.links.iter().any(known) {
        Health::Well
    } else {
        Health::Unclear
    }
}

/// Exit code of `andon status`: 0 all is well, 1 something is wrong, 2 cannot tell.
pub fn exit_code(view: &PictureView) -> u8 {
    match health(view) {
        Health::Well => 0,
        Health::Wrong => 1,
        Health::Unclear => 2,
    }
}

/// Draws the picture. Every line ends with a line feed and is at most `width` columns wide.
pub fn render(view: &PictureView, options: &TerminalOptions) -> String {
    let width = options.width.clamp(*WIDTHS.start(), *WIDTHS.end());
    let mut page = Page {
        options: *options,
        width,
        text: String::new(),
    };
    headline(&mut page, view);
    verdicts(&mut page, view);
    nodes(&mut page, view);
    outside(&mut page, view);
    links(&mut page, view);
    page.text
}

fn headline(page: &mut Page, view: &PictureView) {
    let faults = view
        .verdicts
        .iter()
        .filter(|verdict| verdict.kind.is_fault())
        .count();
    let remarks = view.verdicts.len() - faults;
    let (shape, tone, mut words) = match health(view) {
        Health::Well => (
            node_shape(NodeState::Up),
            Tone::Good,
            "All is well".to_owned(),
        ),
        Health::Wrong if faults == 1 => (
            node_shape(NodeState::Down),
            Tone::Bad,
            "One thing is wrong".to_owned(),
        ),
        Health::Wrong => (
            node_shape(NodeState::Down),
            Tone::Bad,
            format!("{faults} things are wrong"),
        ),
        Health::Unclear => (
            node_shape(NodeState::Suspect),
            Tone::Poor,
            "Cannot tell yet: no link is known".to_owned(),
        ),
    };
    if remarks > 0 {
        words += &format!(", {}", count(remarks, "remark"));
    }
    let present = || {
        view.nodes
            .iter()
            .filter(|node| node.kind == NodeKind::Andon && node.state != NodeState::Left)
    };
    let mut sites: Vec<_> = present().map(|node| &node.site).collect();
    sites.sort_unstable();
    sites.dedup();
    let links = view
        .links
        .iter()
        .filter(|link| !matches!(link.state, LinkState::NotProbed | LinkState::Left))
        .count();
    let size = format!(
        "{} · {} · {}",
        count(present().count(), "node"),
        count(sites.len(), "site"),
        count(links, "link")
    );

    page.line(
        &[
            (" ANDON  ", Tone::Strong),
            (shape, tone),
            (" ", tone),
            (&words, tone),
        ],
        &size,
    );
    let digest = view.digest.to_string();
    let digest = digest.get(..8).unwrap_or(&digest);
    let seen = format!(" seen by {} at {}", view.me, moment(view.generated_at));
    page.line(&[(&seen, Tone::Faint)], &format!("digest {digest}"));
    if let Some(words) = over_tcp(view) {
        page.line(&[(" ", Tone::Poor), (&words, Tone::Poor)], "");
    }
}

/// That UDP does not pass is no fault, and yet figures over TCP mean something else: loss is
/// hidden by resending, and one late packet holds up those behind it.
fn over_tcp(view: &PictureView) -> Option<String> {
    let nodes: BTreeSet<&str> = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon)
        .map(|node| node.id.as_str())
        .collect();
    let carrying = |link: &&LinkView| {
        let carries = matches!(
            link.state,
            LinkState::Up | LinkState::Partial | LinkState::Degraded
        );
        carries && nodes.contains(link.from.as_str()) && nodes.contains(link.to.as_str())
    };
    let links: Vec<&LinkView> = view.links.iter().filter(carrying).collect();
    let tcp = links
        .iter()
        .filter(|link| link.transport == Some(Transport::Tcp))
        .count();
    let verb = if tcp == 1 { "runs" } else { "run" };
    (tcp > 0).then(|| {
        format!(
            "{tcp} of {} {verb} over TCP: UDP does not pass",
            count(links.len(), "link")
        )
    })
}

fn verdicts(page: &mut Page, view: &PictureView) {
    if view.verdicts.is_empty() {
        return;
    }
    let faulty = view.verdicts.iter().any(|verdict| verdict.kind.is_fault());
    page.rule(if faulty { "what is wrong" } else { "remarks" });
    for verdict in view.verdicts.iter().take(LIST_MAX) {
        let (shape, tone, words) = kind(verdict);
        let sure = format!(
            "{} · {:.0} % sure",
            age(view, verdict.since),
            verdict.confidence * 100.0
        );
        let head = [
            (" ", tone),
            (shape, tone),
            (" ", tone),
            (words, tone),
            (" ", tone),
            (&*verdict.subject, Tone::Strong),
        ];
        page.line(&head, &sure);
        page.paragraph(&verdict.sentence, 3);
    }
    let more = view.verdicts.len().saturating_sub(LIST_MAX);
    if more > 0 {
        page.line(&[(&format!("   and {more} more"), Tone::Faint)], "");
    }
}

fn nodes(page: &mut Page, view: &PictureView) {
    let mut by_site: BTreeMap<&str, Vec<&NodeView>> = BTreeMap::new();
    for node in view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon)
    {
        by_site
            .entry(node.site.as_ref().map_or("", |site| site.as_str()))
            .or_default()
            .push(node);
    }
    let total: usize = by_site.values().map(Vec::len).sum();
    if total == 0 {
        return;
    }
    page.rule("nodes by site");
    let summaries = summaries(view);
    let names = name_width(by_site.values().flatten().map(|node| node.id.as_str()));
    if total > NODE_LINES_MAX {
        site_lines(page, &by_site);
        return;
    }
    let head = row(names, "", ["state", "links", "rtt", "loss", "since"]);
    page.line(&[("    ", Tone::Faint), (&head, Tone::Faint)], "");
    for (site, members) in by_site {
        page.line(&[(" ", Tone::Strong), (site, Tone::Strong)], "");
        for node in members {
            let summary = summaries.get(node.id.as_str()).cloned().unwrap_or_default();
            let since = node.since.map_or_else(dash, |since| age(view, since));
            let (links, rtt, loss) = (summary.links(), summary.rtt(), summary.loss());
            let cells = row(
                names,
                &node.id,
                [node_word(node.state), &links, &rtt, &loss, &since],
            );
            let tone = node_tone(node.state);
            let cells_tone = if node.state == NodeState::Up {
                Tone::Plain
            } else {
                tone
            };
            page.line(
                &[
                    ("  ", tone),
                    (node_shape(node.state), tone),
                    (" ", tone),
                    (&cells, cells_tone),
                ],
                "",
            );
        }
    }
}

/// A name and five columns.
fn row(names: usize, name: &str, cells: [&str; 5]) -> String {
    let [state, links, rtt, loss, since] = cells;
    format!(
        "{}  {state:<7}  {links:>7}  {rtt:>8}  {loss:>6}  {since:>9}",
        pad(name, names)
    )
}

/// One line per site, with its nodes that are not up.
fn site_lines(page: &mut Page, by_site: &BTreeMap<&str, Vec<&NodeView>>) {
    let names = name_width(by_site.keys().copied());
    for (site, members) in by_site {
        let sick: Vec<&&NodeView> = members
            .iter()
            .filter(|node| node.state != NodeState::Up)
            .collect();
        let up = format!("{} of {} up", members.len() - sick.len(), members.len());
        let worst = sick
            .iter()
            .map(|node| node.state)
            .filter(|state| *state != NodeState::Left)
            .max();
        let state = worst.unwrap_or(NodeState::Up);
        let tone = node_tone(state);
        let head = format!(" {}  {up}", pad(site, names));
        page.line(
            &[(" ", tone), (node_shape(state), tone), (&head, Tone::Plain)],
            "",
        );
        for node in sick.iter().take(LIST_MAX) {
            let tone = node_tone(node.state);
            let words = format!(" {} {}", node.id, node_word(node.state));
            page.line(
                &[
                    ("     ", tone),
                    (node_shape(node.state), tone),
                    (&words, tone),
                ],
                "",
            );
        }
        let more = sick.len().saturating_sub(LIST_MAX);
        if more > 0 {
            page.line(&[(&format!("     and {more} more"), Tone::Faint)], "");
        }
    }
}

/// Targets and neighbours: who of ours reaches them.
fn outside(page: &mut Page, view: &PictureView) {
    let boxes: Vec<&NodeView> = view
        .nodes
        .iter()
        .filter(|node| node.kind != NodeKind::Andon)
        .collect();
    if boxes.is_empty() {
        return;
    }
    page.rule("targets and neighbours");
    let mut seen: BTreeMap<&str, Summary> = BTreeMap::new();
    for link in &view.links {
        seen.entry(&link.to).or_default().add(link);
    }
    let names = name_width(boxes.iter().map(|node| node.id.as_str()));
    for node in boxes.iter().take(LIST_MAX) {
        let summary = seen.get(node.id.as_str()).cloned().unwrap_or_default();
        let mark = if node.kind == NodeKind::GridBug {
            "GridBug "
        } else {
            ""
        };
        let address = node.addresses.first().map_or("", String::as_str);
        let tone = node_tone(node.state);
        let cells = format!(
            " {}  {:<7}  {:>7}  {:>8}  {mark}{address}",
            pad(&node.id, names),
            node_word(node.state),
            summary.links(),
            summary.rtt()
        );
        let cells_tone = if node.state == NodeState::Up {
            Tone::Plain
        } else {
            tone
        };
        page.line(
            &[
                ("  ", tone),
                (node_shape(node.state), tone),
                (&cells, cells_tone),
            ],
            "",
        );
    }
    let more = boxes.len().saturating_sub(LIST_MAX);
    if more > 0 {
        page.line(&[(&format!("    and {more} more"), Tone::Faint)], "");
    }
}

fn links(page: &mut Page, view: &PictureView) {
    let nodes: Vec<&NodeView> = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon)
        .collect();
    if nodes.len() < 2 {
        return;
    }
    if nodes.len() <= MATRIX_NODES_MAX {
        let names: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let places: BTreeMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (*name, place))
            .collect();
        page.rule("links: the row's node asks the column's");
        matrix(page, view, &names, &places);
        return;
    }
    let site = |node: &&NodeView| {
        node.site
            .as_ref()
            .map_or("", |site| site.as_str())
            .to_owned()
    };
    let mut sites: Vec<String> = nodes.iter().map(site).collect();
    sites.sort_unstable();
    sites.dedup();
    let fits = (page.width.saturating_sub(NAME_WIDTH_MAX + 8) / 4).max(2);
    let more = sites.len().saturating_sub(fits);
    sites.truncate(fits);
    let names: Vec<&str> = sites.iter().map(String::as_str).collect();
    let places: BTreeMap<&str, usize> = nodes
        .iter()
        .filter_map(|node| Some((node.id.as_str(), sites.binary_search(&site(node)).ok()?)))
        .collect();
    page.rule("links: the row's site asks the column's; how many of them are not up");
    matrix(page, view, &names, &places);
    if more > 0 {
        page.line(
            &[(&format!("   and {} more", count(more, "site")), Tone::Faint)],
            "",
        );
    }
}

/// A cell of the matrix: the worst state of its links, and how many are not up.
#[derive(Clone, Default)]
struct Cell {
    worst: Option<LinkState>,
    links: usize,
    failing: usize,
}

/// `places`: row and column of each node, by its id.
fn matrix(page: &mut Page, view: &PictureView, names: &[&str], places: &BTreeMap<&str, usize>) {
    let mut cells = vec![Cell::default(); names.len() * names.len()];
    for link in &view.links {
        let (Some(from), Some(to)) = (places.get(link.from.as_str()), places.get(link.to.as_str()))
        else {
            continue;
        };
        let cell = &mut cells[from * names.len() + to];
        cell.links += 1;
        cell.failing += usize::from(is_failing(link.state));
        if cell
            .worst
            .is_none_or(|worst| severity(link.state) > severity(worst))
        {
            cell.worst = Some(link.state);
        }
    }
    let width = name_width(names.iter().copied());
    let mut head = format!("    {}", pad("", width));
    for column in 1..=names.len() {
        head += &format!("{column:>4}");
    }
    page.line(&[(&head, Tone::Faint)], "");
    let mut shown: Vec<LinkState> = Vec::new();
    for (row, name) in names.iter().enumerate() {
        let label = format!(" {:>2} {}", row + 1, pad(name, width));
        let mut parts: Vec<(String, Tone)> = vec![(label, Tone::Plain)];
        for column in 0..names.len() {
            let cell = &cells[row * names.len() + column];
            let Some(worst) = cell.worst else {
                parts.push(("    ".to_owned(), Tone::Faint));
                continue;
            };
            shown.push(worst);
            let number = if cell.links > 1 && cell.failing > 0 {
                cell.failing.min(99).to_string()
            } else {
                String::new()
            };
            parts.push((
                format!("{:>4}", format!("{}{number}", link_shape(worst))),
                link_tone(worst),
            ));
        }
        let parts: Vec<(&str, Tone)> = parts
            .iter()
            .map(|(text, tone)| (text.as_str(), *tone))
            .collect();
        page.line(&parts, "");
    }
    shown.sort_unstable();
    shown.dedup();
    let legend: Vec<String> = shown
        .iter()
        .map(|state| format!("{} {}", link_shape(*state), link_word(*state)))
        .collect();
    page.line(&[(&format!("    {}", legend.join("   ")), Tone::Faint)], "");
}

/// What several links say together.
#[derive(Clone, Default)]
struct Summary {
    up: usize,
    asked: usize,
    rtt_us: Vec<u32>,
    loss: Option<f32>,
}

impl Summary {
    fn add(&mut self, link: &LinkView) {
        if matches!(
            link.state,
            LinkState::NotProbed | LinkState::Left | LinkState::Unknown
        ) {
            return;
        }
        self.asked += 1;
        self.up += usize::from(link.state == LinkState::Up);
        if link.state == LinkState::Down {
            return; // Its state says so; its loss would hide that of the links that live.
        }
        self.rtt_us.extend(link.rtt_us.p50);
        for loss in [link.loss.forward, link.loss.return_].into_iter().flatten() {
            self.loss = Some(self.loss.map_or(loss, |worst| worst.max(loss)));
        }
    }

    /// `4 of 5`, those that are up of those that are known.
    fn links(&self) -> String {
        if self.asked == 0 {
            dash()
        } else {
            format!("{} of {}", self.up, self.asked)
        }
    }

    /// The middle one of the links' medians.
    fn rtt(&self) -> String {
        let mut rtts = self.rtt_us.clone();
        rtts.sort_unstable();
        rtts.get(rtts.len() / 2)
            .map_or_else(dash, |us| milliseconds(*us))
    }

    /// The worst of any link, either way.
    fn loss(&self) -> String {
        self.loss.map_or_else(dash, percent)
    }
}

/// By observer, over its links to other nodes.
fn summaries(view: &PictureView) -> BTreeMap<&str, Summary> {
    let is_node: BTreeMap<&str, bool> = view
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node.kind == NodeKind::Andon))
        .collect();
    let mut summaries: BTreeMap<&str, Summary> = BTreeMap::new();
    for link in view
        .links
        .iter()
        .filter(|link| is_node.get(link.to.as_str()).copied().unwrap_or(false))
    {
        summaries.entry(&link.from).or_default().add(link);
    }
    summaries
}

/// What a colour would say, if there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Poor,
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Strong => "\x1b[1m",
            Tone::Faint => "\x1b[2m",
            Tone::Good => "\x1b[32m",
            Tone::Poor => "\x1b[33m",
            Tone::Bad => "\x1b[1;31m",
        }
    }
}

/// The text so far. Everything written goes through [`Page::line`], which makes it safe, cuts
/// it to the width and colours it.
struct Page {
    options: TerminalOptions,
    width: usize,
    text: String,
}

impl Page {
    /// One line: coloured parts from the left, and a faint note at the right if it fits.
    fn line(&mut self, parts: &[(&str, Tone)], note: &str) {
        let mut column = 0;
        let last = parts.len().saturating_sub(1);
        for (index, (part, tone)) in parts.iter().enumerate() {
            let mut safe = safe(part, self.options.unicode);
            if index == last && note.is_empty() {
                safe.truncate(safe.trim_end().len());
            }
            let safe = cut(&safe, self.width - column, self.options.unicode);
            column += safe.chars().count();
            self.paint(&safe, *tone);
        }
        let note = safe(note, self.options.unicode);
        let room = self.width.saturating_sub(column + note.chars().count());
        if !note.is_empty() && room >= 2 {
            self.text.extend(std::iter::repeat_n(' ', room));
            self.paint(&note, Tone::Faint);
        }
        self.text.push('\n');
    }

    /// A heading after an empty line.
    fn rule(&mut self, heading: &str) {
        let dashes = self.width.saturating_sub(heading.chars().count() + 2);
        let rule = if self.options.unicode { "─" } else { "-" }.repeat(dashes);
        self.text.push('\n');
        self.line(
            &[
                (" ", Tone::Faint),
                (heading, Tone::Faint),
                (" ", Tone::Faint),
                (&rule, Tone::Faint),
            ],
            "",
        );
    }

    /// Text wrapped at words and indented.
    fn paragraph(&mut self, text: &str, indent: usize) {
        let mut line = String::new();
        let room = self.width.saturating_sub(indent).max(1);
        for word in safe(text, self.options.unicode).split_whitespace() {
            let wide = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && wide > room {
                self.indented(&line, indent);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.indented(&line, indent);
        }
    }

    fn indented(&mut self, line: &str, indent: usize) {
        self.line(
            &[(&" ".repeat(indent), Tone::Plain), (line, Tone::Plain)],
            "",
        );
    }

    fn paint(&mut self, text: &str, tone: Tone) {
        if self.options.color && !tone.code().is_empty() && !text.trim().is_empty() {
            self.text.push_str(tone.code());
            self.text.push_str(text);
            self.text.push_str("\x1b[0m");
        } else {
            self.text.push_str(text);
        }
    }
}

/// Names and sentences are checked where they enter; whatever slipped through cannot move the
/// cursor here. Without `unicode` shapes become letters.
fn safe(text: &str, unicode: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let mut buffer = [0; 4];
        match c {
            ' '..='~' => safe.push(c),
            _ if !is_plain_text(c.encode_utf8(&mut buffer), 4) => safe.push('?'),
            _ if unicode => safe.push(c),
            '→' => safe.push_str("->"),
            '↔' => safe.push_str("<->"),
            '“' | '”' => safe.push('"'),
            '●' => safe.push('o'),
            '◐' => safe.push('%'),
            '▲' => safe.push('!'),
            '✗' => safe.push('X'),
            '○' => safe.push('-'),
            '·' => safe.push('.'),
            '–' | '─' => safe.push('-'),
            '…' => safe.push('~'),
            _ => safe.push('?'),
        }
    }
    safe
}

fn cut(text: &str, width: usize, unicode: bool) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 {
        kept
    } else {
        kept + if unicode { "…" } else { "~" }
    }
}

/// Widest of the names, within bounds.
fn name_width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .min(NAME_WIDTH_MAX)
}

fn pad(name: &str, width: usize) -> String {
    let name = cut(name, width, true);
    format!("{name:<width$}")
}

fn dash() -> String {
    "–".to_owned()
}

fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn percent(share: f32) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

fn milliseconds(us: u32) -> String {
    match us {
        0..10_000 => format!("{:.2} ms", f64::from(us) / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", f64::from(us) / 1e3),
        _ => format!("{:.1} s", f64::from(us) / 1e6),
    }
}

/// `2026-11-20 03:20:00 UTC`.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or_else(
        || text.clone(),
        |text| format!("{} UTC", text.replace('T', " ")),
    )
}

/// `for 4 min`, as of the document's making.
fn age(view: &PictureView, since: Timestamp) -> String {
    let seconds = view.generated_at.since(since).as_secs();
    match seconds {
        0..120 => format!("for {seconds} s"),
        120..7_200 => format!("for {} min", seconds / 60),
        7_200..172_800 => format!("for {} h", seconds / 3_600),
        _ => format!("for {} d", seconds / 86_400),
    }
}

fn kind(verdict: &Verdict) -> (&'static str, Tone, &'static str) {
    match verdict.kind {
        VerdictKind::Isolated => ("✗", Tone::Bad, "isolated"),
        VerdictKind::SiteCutOff => ("✗", Tone::Bad, "site cut off"),
        VerdictKind::NodeDown => ("✗", Tone::Bad, "node down"),
        VerdictKind::TargetDown => ("✗", Tone::Bad, "target down"),
        VerdictKind::PathFault => ("✗", Tone::Bad, "path fault"),
        VerdictKind::LinkDown => ("✗", Tone::Bad, "link down"),
        VerdictKind::LinkPartial => ("◐", Tone::Poor, "link partial"),
        VerdictKind::Degraded => ("▲", Tone::Poor, "degraded"),
        VerdictKind::IdConflict => ("▲", Tone::Poor, "id conflict"),
        VerdictKind::ClockSkew => ("·", Tone::Faint, "clock skew"),
        VerdictKind::HostBusy => ("·", Tone::Faint, "host busy"),
    }
}

fn node_shape(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "●",
        NodeState::Suspect => "?",
        NodeState::Down => "✗",
        NodeState::Left => "○",
    }
}

fn node_word(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "up",
        NodeState::Suspect => "suspect",
        NodeState::Down => "down",
        NodeState::Left => "left",
    }
}

fn node_tone(state: NodeState) -> Tone {
    match state {
        NodeState::Up => Tone::Good,
        NodeState::Suspect => Tone::Poor,
        NodeState::Down => Tone::Bad,
        NodeState::Left => Tone::Faint,
    }
}

fn link_shape(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "●",
        LinkState::Partial => "◐",
        LinkState::Degraded => "▲",
        LinkState::Down => "✗",
        LinkState::Unknown => "?",
        LinkState::NotProbed => "·",
        LinkState::Left => "○",
    }
}

fn link_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "up",
        LinkState::Partial => "partial",
        LinkState::Degraded => "degraded",
        LinkState::Down => "down",
        LinkState::Unknown => "unknown",
        LinkState::NotProbed => "not probed",
        LinkState::Left => "left",
    }
}

fn link_tone(state: LinkState) -> Tone {
    match state {
        LinkState::Up => Tone::Good,
        LinkState::Partial | LinkState::Degraded => Tone::Poor,
        LinkState::Down => Tone::Bad,
        LinkState::Unknown | LinkState::NotProbed | LinkState::Left => Tone::Faint,
    }
}

fn is_failing(state: LinkState) -> bool {
    matches!(
        state,
        LinkState::Partial | LinkState::Degraded | LinkState::Down
    )
}

/// Which of a cell's states its shape shows.
fn severity(state: LinkState) -> u8 {
    match state {
        LinkState::Down => 6,
        LinkState::Partial => 5,
        LinkState::Degraded => 4,
        LinkState::Unknown => 3,
        LinkState::Up => 2,
        LinkState::Left => 1,
        LinkState::NotProbed => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use andon_model::{FlowCount, Heard, LossPair, PictureDigest, RttUs, SiteId};

    const NOW: Timestamp = Timestamp(1_793_000_000_000_000);

    fn ago(seconds: i64) -> Timestamp {
        Timestamp(NOW.0 - seconds * 1_000_000)
    }

    /// A healthy full mesh of nodes written `name@site`.
    fn grid(nodes: &str) -> PictureView {
        let nodes: Vec<NodeView> = nodes
            .split_whitespace()
            .map(|node| {
                let (name, site) = node.split_once('@').unwrap();
                boxed(name, Some(site), NodeKind::Andon)
            })
            .collect();
        let pairs = nodes
            .iter()
            .flat_map(|a| nodes.iter().map(move |b| (a.id.clone(), b.id.clone())));
        let links = pairs
            .filter(|(a, b)| a != b)
            .map(|(a, b)| link(&a, &b, LinkState::Up))
            .collect();
        let me = nodes
            .first()
            .map_or_else(String::new, |node| node.id.clone());
        PictureView {
            digest: PictureDigest(0xabcd_ef01 << 96),
            generated_at: NOW,
            me,
            nodes,
            links,
            verdicts: Vec::new(),
        }
    }

    fn boxed(id: &str, site: Option<&str>, kind: NodeKind) -> NodeView {
        NodeView {
            id: id.to_owned(),
            key: None,
            site: site.map(|site| SiteId::new(site).unwrap()),
            kind,
            state: NodeState::Up,
            since: Some(ago(7_300)),
            addresses: vec!["10.0.0.1:8777".to_owned()],
            labels: BTreeMap::new(),
            version: None,
            started_at: None,
            reach: None,
            host: None,
            clock_offset_us: None,
            fingerprint: None,
            position: None,
        }
    }

    fn link(from: &str, to: &str, state: LinkState) -> LinkView {
        let measured = state == LinkState::Up;
        LinkView {
            from: from.into(),
            to: to.into(),
            state,
            reason: None,
            round_trip: None,
            transport: None,
            flows: FlowCount::default(),
            loss: LossPair {
                forward: measured.then_some(0.0),
                return_: measured.then_some(0.0),
            },
            rtt_us: RttUs {
                p50: measured.then_some(12_300),
                p99: None,
            },
            rtt_baseline_us: None,
            heard: Heard::NotExpected,
            since: None,
            via: false,
            detail: None,
        }
    }

    fn kill(view: &mut PictureView, id: &str) {
        for node in view.nodes.iter_mut().filter(|node| node.id == id) {
            (node.state, node.since) = (NodeState::Down, Some(ago(75)));
        }
        for view_link in &mut view.links {
            if view_link.to == id {
                *view_link = link(&view_link.from, id, LinkState::Down);
                view_link.loss = LossPair {
                    forward: Some(1.0),
                    return_: Some(1.0),
                };
            } else if view_link.from == id {
                *view_link = link(id, &view_link.to, LinkState::Unknown);
            }
        }
        view.verdicts.push(Verdict {
            id: format!("node_down:{id}"),
            kind: VerdictKind::NodeDown,
            subject: id.to_owned(),
            sentence: format!("{id} in nyc1 is down: all 4 nodes that probe it get no answer, and its own probes stopped too."),
            confidence: 0.94,
            evidence: Vec::new(),
            since: ago(75),
            from: None,
            to: None,
            hops: Vec::new(),
            effect: None,
            flows: None,
            links: Vec::new(),
            services: Vec::new(),
        });
    }

    const FIVE: &str = "fra1-db@fra1 fra1-web@fra1 nyc1-db@nyc1 nyc1-web@nyc1 sin1-edge@sin1";

    #[track_caller]
    fn check(view: &PictureView, options: TerminalOptions, expected: &str) {
        let drawn = render(view, &options);
        assert_eq!(drawn.trim_end(), expected.trim_end(), "\n{drawn}");
        let widest = drawn.lines().map(|line| line.chars().count()).max();
        assert!(options.color || widest <= Some(options.width), "{widest:?}");
    }

    #[test]
    fn a_healthy_grid() {
        check(
            &grid(FIVE),
            TerminalOptions::default(),
            " ANDON  ● All is well                               5 nodes · 3 sites · 20 links
 seen by fra1-db at 2026-10-26 07:33:20 UTC                      digest abcdef01

 nodes by site ─────────────────────────────────────────────────────────────────
               state      links       rtt    loss      since
 fra1
  ● fra1-db    up        4 of 4     12 ms     0 %    for 2 h
  ● fra1-web   up        4 of 4     12 ms     0 %    for 2 h
 nyc1
  ● nyc1-db    up        4 of 4     12 ms     0 %    for 2 h
  ● nyc1-web   up        4 of 4     12 ms     0 %    for 2 h
 sin1
  ● sin1-edge  up        4 of 4     12 ms     0 %    for 2 h

 links: the row's node asks the column's ───────────────────────────────────────
                1   2   3   4   5
  1 fra1-db         ●   ●   ●   ●
  2 fra1-web    ●       ●   ●   ●
  3 nyc1-db     ●   ●       ●   ●
  4 nyc1-web    ●   ●   ●       ●
  5 sin1-edge   ●   ●   ●   ●
    ● up",
        );
    }

    #[test]
    fn a_dead_node_and_a_target() {
        let mut view = grid(FIVE);
        kill(&mut view, "nyc1-db");
        view.nodes.push(boxed("shop", None, NodeKind::Target));
        view.links.push(link("fra1-db", "shop", LinkState::Up));
        check(
            &view,
            TerminalOptions::default(),
            " ANDON  ✗ One thing is wrong                        5 nodes · 3 sites · 21 links
 seen by fra1-db at 2026-10-26 07:33:20 UTC                      digest abcdef01

 what is wrong ─────────────────────────────────────────────────────────────────
 ✗ node down nyc1-db                                        for 75 s · 94 % sure
   nyc1-db in nyc1 is down: all 4 nodes that probe it get no answer, and its own
   probes stopped too.

 nodes by site ─────────────────────────────────────────────────────────────────
               state      links       rtt    loss      since
 fra1
  ● fra1-db    up        3 of 4     12 ms     0 %    for 2 h
  ● fra1-web   up        3 of 4     12 ms     0 %    for 2 h
 nyc1
  ✗ nyc1-db    down           –         –       –   for 75 s
  ● nyc1-web   up        3 of 4     12 ms     0 %    for 2 h
 sin1
  ● sin1-edge  up        3 of 4     12 ms     0 %    for 2 h

 targets and neighbours ────────────────────────────────────────────────────────
  ● shop  up        1 of 1     12 ms  10.0.0.1:8777

 links: the row's node asks the column's ───────────────────────────────────────
                1   2   3   4   5
  1 fra1-db         ●   ✗   ●   ●
  2 fra1-web    ●       ✗   ●   ●
  3 nyc1-db     ?   ?       ?   ?
  4 nyc1-web    ●   ●   ✗       ●
  5 sin1-edge   ●   ●   ✗   ●
    ● up   ✗ down   ? unknown",
        );
        check(
            &view,
            TerminalOptions {
                unicode: false,
                width: 60,
                color: false,
            },
            " ANDON  X One thing is wrong    5 nodes . 3 sites . 21 links
 seen by fra1-db at 2026-10-26 07:33:20 UTC  digest abcdef01

 what is wrong ---------------------------------------------
 X node down nyc1-db                    for 75 s . 94 % sure
   nyc1-db in nyc1 is down: all 4 nodes that probe it get no
   answer, and its own probes stopped too.

 nodes by site ---------------------------------------------
               state      links       rtt    loss      since
 fra1
  o fra1-db    up        3 of 4     12 ms     0 %    for 2 h
  o fra1-web   up        3 of 4     12 ms     0 %    for 2 h
 nyc1
  X nyc1-db    down           -         -       -   for 75 s
  o nyc1-web   up        3 of 4     12 ms     0 %    for 2 h
 sin1
  o sin1-edge  up        3 of 4     12 ms     0 %    for 2 h

 targets and neighbours ------------------------------------
  o shop  up        1 of 1     12 ms  10.0.0.1:8777

 links: the row's node asks the column's -------------------
                1   2   3   4   5
  1 fra1-db         o   X   o   o
  2 fra1-web    o       X   o   o
  3 nyc1-db     ?   ?       ?   ?
  4 nyc1-web    o   o   X       o
  5 sin1-edge   o   o   X   o
    o up   X down   ? unknown",
        );
    }

    #[test]
    fn many_nodes_are_drawn_by_site() {
        let names: Vec<String> = (0..45)
            .map(|number| format!("n{number}@s{}", number % 3))
            .collect();
        let mut view = grid(&names.join(" "));
        kill(&mut view, "n4");
        view.verdicts.clear();
        check(
            &view,
            TerminalOptions::default(),
            " ANDON  ● All is well                            45 nodes · 3 sites · 1980 links
 seen by n0 at 2026-10-26 07:33:20 UTC                           digest abcdef01

 nodes by site ─────────────────────────────────────────────────────────────────
 ● s0  15 of 15 up
 ✗ s1  14 of 15 up
     ✗ n4 down
 ● s2  15 of 15 up

 links: the row's site asks the column's; how many of them are not up ──────────
         1   2   3
  1 s0   ● ✗15   ●
  2 s1   ? ✗14   ?
  3 s2   ● ✗15   ●
    ● up   ✗ down   ? unknown",
        );
    }

    #[test]
    fn links_over_tcp_are_told_under_the_title() {
        let third = |view: &PictureView| {
            let drawn = render(view, &TerminalOptions::default());
            drawn.lines().nth(2).unwrap().to_owned()
        };
        let mut view = grid("a@x b@x c@y");
        assert_eq!(third(&view), "", "UDP passes: nothing to say");
        view.nodes.push(boxed("shop", None, NodeKind::Target));
        view.links.push(link("a", "shop", LinkState::Up));
        view.links.push(link("a", "b", LinkState::Down));
        view.links[0].transport = Some(Transport::Tcp);
        assert_eq!(
            third(&view),
            " 1 of 6 links runs over TCP: UDP does not pass"
        );
        for link in &mut view.links {
            link.transport = Some(Transport::Tcp);
        }
        assert_eq!(
            third(&view),
            " 6 of 6 links run over TCP: UDP does not pass"
        );
    }

    #[test]
    fn a_node_alone_cannot_tell() {
        let view = grid("a@x");
        assert_eq!(exit_code(&view), 2);
        check(
            &view,
            TerminalOptions::default(),
            " ANDON  ? Cannot tell yet: no link is known            1 node · 1 site · 0 links
 seen by a at 2026-10-26 07:33:20 UTC                            digest abcdef01

 nodes by site ─────────────────────────────────────────────────────────────────
       state      links       rtt    loss      since
 x
  ● a  up             –         –       –    for 2 h",
        );
        assert_eq!(
            exit_code(&PictureView {
                nodes: Vec::new(),
                ..view
            }),
            2
        );
    }

    #[test]
    fn the_exit_code_tells_well_from_wrong_from_unknown() {
        let mut view = grid(FIVE);
        assert_eq!(exit_code(&view), 0);
        let unknown = view
            .links
            .iter()
            .map(|old| link(&old.from, &old.to, LinkState::Unknown))
            .collect();
        assert_eq!(
            exit_code(&PictureView {
                links: unknown,
                ..view.clone()
            }),
            2
        );
        kill(&mut view, "fra1-web");
        assert_eq!(exit_code(&view), 1);
        view.verdicts[0].kind = VerdictKind::ClockSkew;
        assert_eq!(exit_code(&view), 0);
    }

    #[test]
    fn colour_changes_no_word_and_no_column() {
        let mut view = grid(FIVE);
        kill(&mut view, "nyc1-db");
        let mut coloured = render(
            &view,
            &TerminalOptions {
                color: true,
                ..TerminalOptions::default()
            },
        );
        assert!(coloured.contains("\x1b[1;31m✗"));
        for tone in [Tone::Strong, Tone::Faint, Tone::Good, Tone::Poor, Tone::Bad] {
            coloured = coloured.replace(tone.code(), "");
        }
        assert_eq!(
            coloured.replace("\x1b[0m", ""),
            render(&view, &TerminalOptions::default())
        );
    }

    #[test]
    fn nothing_in_the_document_can_move_the_cursor() {
        let mut view = grid(FIVE);
        kill(&mut view, "nyc1-db");
        let evil = "\x1b[2J\r\n\u{202e}\u{7f}<b>".repeat(50);
        (view.me, view.nodes[0].id) = (evil.clone(), evil.clone());
        view.verdicts[0].subject.clone_from(&evil);
        view.verdicts[0].sentence = evil;
        let drawn = render(&view, &TerminalOptions::default());
        assert!(
            drawn
                .chars()
                .all(|c| c == '\n' || is_plain_text(&c.to_string(), 4)),
            "{drawn:?}"
        );
        assert!(drawn.lines().all(|line| line.chars().count() <= 80));
    }
}
