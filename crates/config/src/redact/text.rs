//! Secrets in lines of text.
