//! What nodes owe each other, as pure state machines: no clock, no disk, no socket.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
