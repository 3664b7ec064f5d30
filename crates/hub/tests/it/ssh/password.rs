//! Passwords, which an OpenSSH server without PAM does not take: a server in this process does.
