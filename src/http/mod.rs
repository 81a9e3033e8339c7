//! HTTP: what is on the wire. It keeps no state of the registry.

pub mod listen;
