//! The last steps before a command runs that only its own process can take: this program starts itself, takes them, and becomes the command.
//!
//! Most commands need none of that and are started directly.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::not_started;
use crate::start::ignores;

/// The first argument of this program when it is to become another.
const LAUNCH: &str = "--launch-command";

/// A step, as it is written in the argument after that.
const SESSION: &str = "session";
const PIPE: &str = "pipe";
const CHILD: &str = "child";

/// Returns the command that runs `program`: directly, or by way of this program where steps must be taken first. With `session` it leads a
/// session whose terminal is its standard output.
///
/// # Errors
/// If this program does not find itself.
pub fn command(program: &OsStr, args: &[OsString], session: bool) -> io::Result<Command> {
    let steps = [(SESSION, session), (PIPE, ignores(Signal::PIPE)), (CHILD, ignores(Signal::CHILD))];
    let steps: Vec<&str> = steps.iter().filter(|(_, wanted)| *wanted).map(|(step, _)| *step).collect();
    if steps.is_empty() {
        let mut command = Command::new(program);
        command.args(args);
        return Ok(command);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(LAUNCH).arg(steps.join(",")).arg(program).args(args);
    Ok(command)
}

/// Makes the exit status of a child available also where SIGCHLD was ignored when this process started. Call it after the child was
/// started, which is to ignore the signal still.
///
/// # Errors
/// If the system allows no handler.
pub fn expect_child() -> io::Result<()> {
    if ignores(Signal::CHILD) {
        let heard = std::sync::Arc::default();
        signal_hook::flag::register(Signal::CHILD.as_raw(), heard)?;
    }
    Ok(())
}

/// Becomes the command, if the arguments of this process ask for that. Returns only if they do not, or with the exit code if that is not
/// possible, and why.
pub fn become_command() -> Option<(u8, String)> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != LAUNCH {
        return None;
    }
    let steps = args.next()?.into_string().ok()?;
    let program = args.next()?;
    let args: Vec<OsString> = args.collect();
    let error = launch(&steps, &program, &args);
    Some((not_started(&error), format!("cannot run {}: {error}", program.to_string_lossy())))
}

fn launch(steps: &str, program: &OsStr, args: &[OsString]) -> io::Error {
    let mut ignores_pipe = false;
    for step in steps.split(',') {
        match step {
            SESSION => {
                let led =
                    rustix::process::setsid().and_then(|_| rustix::process::ioctl_tiocsctty(io::stdout()));
                if let Err(error) = led {
                    return error.into();
                }
            }
            PIPE => ignores_pipe = true,
            CHILD => wait_for_parent(),
            _ => {}
        }
    }
    run(program, args, ignores_pipe)
}

/// Becomes the command. The standard library would have it end by SIGPIPE, the system leaves that as it is: ignored, by Rust's runtime.
#[cfg(target_os = "linux")]
fn run(program: &OsStr, args: &[OsString], ignores_pipe: bool) -> io::Error {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt as _;
    if !ignores_pipe {
        return exec(program, args);
    }
    let words = std::iter::once(program).chain(args.iter().map(OsString::as_os_str));
    match words.map(|word| CString::new(word.as_bytes())).collect::<Result<Vec<_>, _>>() {
        Ok(words) => match nix::unistd::execvp(&words[0], &words) {
            Ok(never) => match never {},
            Err(error) => error.into(),
        },
        Err(error) => error.into(),
    }
}

#[cfg(not(target_os = "linux"))]
fn run(program: &OsStr, args: &[OsString], _: bool) -> io::Error {
    exec(program, args)
}

fn exec(program: &OsStr, args: &[OsString]) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    Command::new(program).args(args).stdin(Stdio::inherit()).exec()
}

/// Waits until the parent does not ignore the end of its children any more: it would never learn how the command ended.
#[cfg(target_os = "linux")]
fn wait_for_parent() {
    use std::time::{Duration, Instant};
    const PATIENCE: Duration = Duration::from_secs(2);
    let begun = Instant::now();
    let Some(parent) = rustix::process::getppid() else { return };
    let parent = parent.as_raw_nonzero().to_string();
    while crate::start::has(crate::start::ignored_by(&parent), Signal::CHILD) && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(not(target_os = "linux"))]
fn wait_for_parent() {}
