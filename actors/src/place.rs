//! Places for work that helps only while as many do it as there are processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// One of the places that `taken` counts. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    taken: &'static AtomicUsize,
}

impl Place {
    /// None when as many are taken as there are processors, or there is one processor.
    pub fn take(taken: &'static AtomicUsize) -> Option<Self> {
        let most = thread::available_parallelism().map_or(1, usize::from);
        let before = taken.fetch_add(1, Ordering::Relaxed);
        // Given back at once where it is not to be had.
        let place = Self { taken };
        (most > 1 && before < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_as_processors_and_a_dropped_one_is_free() {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let most = if processors > 1 { processors } else { 0 };
        let mut places: Vec<_> = std::iter::from_fn(|| Place::take(&TAKEN)).collect();
        assert_eq!(places.len(), most);
        assert!(Place::take(&TAKEN).is_none());
        if places.pop().is_some() {
            assert!(Place::take(&TAKEN).is_some());
        }
    }
}
