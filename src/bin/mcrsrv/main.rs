<<<<<<< HEAD
=======
//! The registry.

>>>>>>> config
fn main() {}
