//! Outputs of real runners, and what must be found in them.

mod corpus;
