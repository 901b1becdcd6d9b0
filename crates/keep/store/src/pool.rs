//! Buffers that a thread uses again: a block's column is half a megabyte, and asking the
//! system for it afresh for every block costs more than reading it.

use std::cell::RefCell;

/// Buffers of one type that a thread keeps at most.
const KEPT_MAX: usize = 8;
/// Elements of a buffer that is worth keeping and not too large to.
const ELEMENTS_MAX: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Pool<T>(RefCell<Vec<Vec<T>>>);

impl<T> Pool<T> {
    fn take(&self, capacity: usize) -> Vec<T> {
        let kept = self.0.borrow_mut().pop();
        let mut buffer = kept.unwrap_or_default();
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    fn give(&self, buffer: Vec<T>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT_MAX && (1..=ELEMENTS_MAX).contains(&buffer.capacity()) {
            kept.push(buffer);
        }
    }
}

/// What buffers can be made of.
pub(crate) trait Pooled: Sized + 'static {
    fn pool<R>(with: impl FnOnce(&Pool<Self>) -> R) -> Option<R>;
}

macro_rules! pooled {
    ($($name:ident: $kind:ty),*) => {$(
        thread_local!(static $name: Pool<$kind> = const { Pool(RefCell::new(Vec::new())) });
        impl Pooled for $kind {
            fn pool<R>(with: impl FnOnce(&Pool<Self>) -> R) -> Option<R> {
                $name.try_with(with).ok()
            }
        }
    )*};
}

pooled!(BYTES: u8, CODES: u16, ROWS: u32, WHOLE: i64, FLOATS: f64);

/// An empty buffer with room for so many.
pub(crate) fn take<T: Pooled>(capacity: usize) -> Vec<T> {
    T::pool(|pool| pool.take(capacity)).unwrap_or_default()
}

/// Gives a buffer back to whichever thread this is.
pub(crate) fn give<T: Pooled>(buffer: Vec<T>) {
    T::pool(|pool| pool.give(buffer));
}
