//! Which documents lie ready: the picture, whole or in columns, and the incidents, all or by
//! state.

use crate::columns::Columns;
use crate::counters::Counters;
use crate::document::{Document, Shelf};
use andon_model::{Incident, IncidentState, PictureView};
use std::sync::Arc;
use tokio::sync::watch;

/// Links above which serialising is moved off the tasks that serve others: 2,000 take some
/// milliseconds.
const LINKS_INLINE_MAX: usize = 2_000;

/// Incidents above which the same holds: one is some kilobytes.
const INCIDENTS_INLINE_MAX: usize = 100;

/// How the picture is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As `PictureView`.
    Whole,
    /// Links in columns, for large grids.
    Columns,
}

impl Form {
    /// From the query; `None` for a form that is not known.
    pub(crate) fn of_query(query: Option<&str>) -> Option<Form> {
        let mut form = Form::Whole;
        for pair in query.unwrap_or_default().split('&') {
            match pair.split_once('=') {
                Some(("form", "columns")) => form = Form::Columns,
                Some(("form", "full" | "")) => form = Form::Whole,
                Some(("form", _)) => return None,
                _ => {}
            }
        }
        Some(form)
    }
}

/// Which incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// All that the node knows.
    All,
    /// Those in a state.
    In(IncidentState),
}

impl Which {
    /// As `?state=` names it; `None` for a state that is not known.
    pub(crate) fn of_state(state: Option<&str>) -> Option<Self> {
        Some(match state {
            None | Some("" | "all") => Self::All,
            Some("open") => Self::In(IncidentState::Open),
            Some("mitigated") => Self::In(IncidentState::Mitigated),
            Some("resolved") => Self::In(IncidentState::Resolved),
            Some(_) => return None,
        })
    }

    fn holds(self, incident: &Incident) -> bool {
        match self {
            Self::All => true,
            Self::In(state) => incident.state == state,
        }
    }
}

/// Documents that are made once per change.
#[derive(Debug)]
pub(crate) struct Documents {
    view: watch::Receiver<Arc<PictureView>>,
    whole: Shelf<PictureView>,
    columns: Shelf<PictureView>,
    incidents: watch::Receiver<Arc<Vec<Incident>>>,
    /// All, open, mitigated, resolved.
    by_state: [Shelf<Vec<Incident>>; 4],
    counters: Arc<Counters>,
}

impl Documents {
    pub(crate) fn new(
        view: watch::Receiver<Arc<PictureView>>,
        incidents: watch::Receiver<Arc<Vec<Incident>>>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            view,
            whole: Shelf::default(),
            columns: Shelf::default(),
            incidents,
            by_state: Default::default(),
            counters,
        }
    }

    /// The picture's document, if it need not be made first.
    pub(crate) fn ready(&self, form: Form) -> Option<Arc<Document<PictureView>>> {
        self.shelf(form).ready(&self.view.borrow())
    }

    /// The picture's document, made if need be.
    pub(crate) async fn get(&self, form: Form) -> Arc<Document<PictureView>> {
        if let Some(document) = self.ready(form) {
            return document;
        }
        let shelf = self.shelf(form);
        let _alone = shelf.making.lock().await;
        if let Some(document) = self.ready(form) {
            return document;
        }
        let view = self.view.borrow().clone();
        self.counters.picture_renders.count();
        let large = view.links.len() > LINKS_INLINE_MAX;
        let make = move || Document::make(view, |view| serialise(form, view));
        let document = made(large, make).await;
        shelf.put(Arc::clone(&document));
        document
    }

    /// The incidents' document, made if need be.
    pub(crate) async fn incidents(&self, which: Which) -> Arc<Document<Vec<Incident>>> {
        let shelf = match which {
            Which::All => &self.by_state[0],
            Which::In(IncidentState::Open) => &self.by_state[1],
            Which::In(IncidentState::Mitigated) => &self.by_state[2],
            Which::In(IncidentState::Resolved) => &self.by_state[3],
        };
        if let Some(document) = shelf.ready(&self.incidents.borrow()) {
            return document;
        }
        let _alone = shelf.making.lock().await;
        let all = self.incidents.borrow().clone();
        if let Some(document) = shelf.ready(&all) {
            return document;
        }
        let large = all.len() > INCIDENTS_INLINE_MAX;
        let serialise = move |all: &Vec<Incident>| {
            let kept: Vec<&Incident> = all.iter().filter(|one| which.holds(one)).collect();
            serde_json::to_vec(&kept).unwrap_or_default()
        };
        let document = made(large, move || Document::make(all, serialise)).await;
        shelf.put(Arc::clone(&document));
        document
    }

    /// Lets go of documents that nobody asks for.
    pub(crate) fn tidy(&self) {
        self.whole.tidy();
        self.columns.tidy();
        self.by_state.iter().for_each(Shelf::tidy);
    }

    fn shelf(&self, form: Form) -> &Shelf<PictureView> {
        match form {
            Form::Whole => &self.whole,
            Form::Columns => &self.columns,
        }
    }
}

/// Makes a document here, or where nobody waits for it if it is `large`.
async fn made<S: Send + Sync + 'static>(
    large: bool,
    make: impl FnOnce() -> Document<S> + Clone + Send + 'static,
) -> Arc<Document<S>> {
    if large && let Ok(document) = tokio::task::spawn_blocking(make.clone()).await {
        return Arc::new(document);
    }
    Arc::new(make())
}

/// A picture as JSON without line breaks, for a stream.
pub(crate) async fn json(form: Form, view: Arc<PictureView>) -> Vec<u8> {
    if view.links.len() > LINKS_INLINE_MAX {
        let moved = Arc::clone(&view);
        if let Ok(json) = tokio::task::spawn_blocking(move || serialise(form, &moved)).await {
            return json;
        }
    }
    serialise(form, &view)
}

/// The types hold nothing that JSON cannot: text, numbers, maps with text keys.
pub(crate) fn serialise(form: Form, view: &PictureView) -> Vec<u8> {
    match form {
        Form::Whole => serde_json::to_vec(view),
        Form::Columns => serde_json::to_vec(&Columns::of(view)),
    }
    .unwrap_or_default()
}
