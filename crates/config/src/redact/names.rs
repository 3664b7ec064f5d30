//! Names that announce a secret.
