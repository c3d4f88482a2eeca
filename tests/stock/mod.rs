//! Stock both ways: a shop that sells while an ERP books, and levels that never offer what is sold. In virtual time,
//! with a truth that both sides keep.

mod cases;
mod rig;
mod shop;
mod sides;
