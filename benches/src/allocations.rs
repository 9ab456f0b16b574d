//! Counts allocations.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// How often this thread has asked for memory so far, growth included.
pub fn count() -> usize {
    COUNT.get()
}

/// How many bytes this thread has asked for so far.
pub fn bytes() -> usize {
    BYTES.get()
}

/// How many bytes this thread has asked for and not given back.
pub fn live() -> isize {
    LIVE.get()
}

// A count for each thread: one that all share would slow down those that allocate on two threads.
thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn take(&self, bytes: usize) {
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get() + bytes);
        LIVE.set(LIVE.get() + bytes.cast_signed());
    }

    fn give_back(&self, bytes: usize) {
        LIVE.set(LIVE.get() - bytes.cast_signed());
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator; the count does not touch the memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.give_back(layout.size());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.give_back(layout.size());
        self.take(size);
        unsafe { System.realloc(place, layout, size) }
    }
}
