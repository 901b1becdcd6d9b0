//! Copies that a keeper holds of what other keepers answer for: a store for each of them, asked
//! only where that keeper cannot be. Kept apart, nothing is ever counted twice.

use crate::error::StoreError;
use crate::options::Options;
use crate::store::Store;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keepers whose copies are held at most; each costs a store's memory and a thread.
pub const COPIES_MAX: usize = 16;
/// What a copy may take of memory, as a share of what a store of its own may.
const MEMORY_SHARE: usize = 4;

/// Copies by the name of the keeper that answers for them. Calls block.
#[derive(Debug)]
pub struct Copies {
    dir: PathBuf,
    options: Mutex<Options>,
    stores: Mutex<BTreeMap<String, Arc<Store>>>,
}

impl Copies {
    /// Opens all that there are in a folder; one that cannot be opened is told and left out.
    pub fn open(dir: &Path, options: Options) -> Self {
        let copies = Self {
            dir: dir.to_owned(),
            options: Mutex::new(options),
            stores: Mutex::default(),
        };
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.path().is_dir()) {
            if let Some(of) = entry.file_name().to_str()
                && let Err(error) = copies.store(of)
            {
                tracing::error!(keeper = of, %error, "its copy cannot be opened");
            }
        }
        copies
    }

    /// The copy of one keeper's events, if there is any.
    pub fn get(&self, of: &str) -> Option<Arc<Store>> {
        lock(&self.stores).get(of).cloned()
    }

    /// All of them, by keeper.
    pub fn all(&self) -> BTreeMap<String, Arc<Store>> {
        lock(&self.stores).clone()
    }

    /// The copy of one keeper's events; made if there is none.
    pub fn store(&self, of: &str) -> Result<Arc<Store>, StoreError> {
        let mut stores = lock(&self.stores);
        if let Some(store) = stores.get(of) {
            return Ok(Arc::clone(store));
        }
        let is_name = !of.starts_with('.')
            && !of.is_empty()
            && of
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || ".-_~#".contains(letter));
        if !is_name || stores.len() >= COPIES_MAX {
            return Err(StoreError::DatasetName {
                name: of.chars().take(80).collect(),
            });
        }
        let mut options = lock(&self.options).clone();
        options.head_rows_max /= MEMORY_SHARE;
        options.head_bytes_max /= MEMORY_SHARE;
        options.warm_bytes_max /= MEMORY_SHARE;
        let store = Arc::new(Store::open(&self.dir.join(of), options)?);
        stores.insert(of.to_owned(), Arc::clone(&store));
        Ok(store)
    }

    /// Another retention from now on.
    pub fn set_retention(&self, options: &Options) {
        lock(&self.options).clone_from(options);
        for store in self.all().values() {
            store.set_retention(options);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_model::event::Event;

    #[test]
    fn copies_are_kept_apart_and_are_there_again_after_a_restart() {
        let dir = std::env::temp_dir().join(format!("andon-copies-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let copies = Copies::open(&dir, Options::default());
        assert!(copies.get("a").is_none() && copies.store("../a").is_err());
        for (of, rows) in [("a", 1), ("b", 2)] {
            let events = vec![Event::new(Timestamp(1)); rows];
            copies.store(of).unwrap().append("logs", &events).unwrap();
        }
        drop(copies);
        let copies = Copies::open(&dir, Options::default());
        let rows = |of: &str| copies.get(of).map(|store| store.datasets()[0].rows);
        assert_eq!((rows("a"), rows("b"), rows("c")), (Some(1), Some(2), None));
        drop(copies);
        let _ = std::fs::remove_dir_all(&dir);
    }
}
