//! MTTD, MTTA, MTTM, MTTR, uptime, availability and incidents, from the signals themselves and from what tools say.

mod codec;
mod config;
mod evaluate;
mod history;
mod intervals;
mod machine;
mod slots;
mod verdict;
