//! The player on a terminal: what is set up is put back, also after a panic; frames are drawn only when something changed.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use crate::state::copy::MAX_CLIPBOARD;
use crate::state::{Effect, Message, News, Player};
use crate::{input, view};

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(33);

/// Time that the first frame waits for the first events.
const FIRST: Duration = Duration::from_millis(100);

/// Maximum wait for the suspension, in checks whether it is over already: the system does not stop a process
/// group that nobody could wake again.
const STOPPING: u32 = 100;
const LOOK: Duration = Duration::from_millis(10);

/// Time for background work before the keys are checked again.
const WORK: Duration = Duration::from_millis(12);

/// Time to wait for a key, while the source is open and after it has ended.
const OPEN: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(250);

/// Why the player ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The terminal.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
    /// There is nothing to play.
    #[error("this is no recording, there is neither a header nor an event in it")]
    NoRecording,
    /// A thread that reads the recording panicked.
    #[error("a part of the player broke off; what it said stands above")]
    Lost,
}

type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// The terminal as it is while the player has it.
struct Taken {
    hook: Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>,
    /// Something panicked, on whatever thread, and the terminal was put back.
    lost: Arc<AtomicBool>,
}

impl Taken {
    fn take() -> io::Result<Taken> {
        let hook: Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync> =
            Arc::from(std::panic::take_hook());
        let (before, lost) = (hook.clone(), Arc::new(AtomicBool::new(false)));
        let losing = lost.clone();
        std::panic::set_hook(Box::new(move |info| {
            losing.store(true, Ordering::Relaxed);
            put_back();
            before(info);
        }));
        let taken = Taken { hook, lost };
        set_up()?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        put_back();
        if !std::thread::panicking() {
            let hook = self.hook.clone();
            std::panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

fn set_up() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste, cursor::Hide)
}

fn new_screen() -> io::Result<Screen> {
    Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout())))
}

/// Leaves the terminal to the shell until it says to go on; where there are no such shells, does nothing.
fn suspend(screen: &mut Screen) -> io::Result<()> {
    #[cfg(unix)]
    {
        let goes_on = Arc::new(AtomicBool::new(false));
        let listening = signal_hook::flag::register(signal_hook::consts::SIGCONT, goes_on.clone())?;
        put_back();
        // The whole group, as the terminal itself would do it: what feeds the player through a pipe stops too.
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        // Another thread may have taken the signal, and stops this one a while later.
        for _ in 0..STOPPING {
            if goes_on.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        signal_hook::low_level::unregister(listening);
        set_up()?;
        // Nothing of what it drew is there any more.
        *screen = new_screen()?;
    }
    Ok(())
}

/// Best effort: there is nobody left to tell.
fn put_back() {
    let _ = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

/// Plays until somebody quits, or `stop` says so. `news` is what comes from the source; when its sender is gone, nothing more
/// will come.
///
/// # Errors
/// When the terminal cannot be used, or what came is no recording. The terminal is as it was before.
pub fn run(player: &mut Player, news: &Receiver<News>, stop: &AtomicBool) -> Result<(), Error> {
    let taken = Taken::take()?;
    let mut screen = new_screen()?;
    let started = Instant::now();
    let mut open = true;
    match news.recv_timeout(FIRST) {
        Ok(news) => player.take(news),
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => open = false,
    }
    let mut drawn: Option<Instant> = None;
    let mut dirty = true;
    while !stop.load(Ordering::Relaxed) {
        if taken.lost.load(Ordering::Relaxed) {
            return Err(Error::Lost);
        }
        let began = Instant::now();
        while open && (drawn.is_some() || !dirty) && began.elapsed() < WORK {
            match news.try_recv() {
                Ok(news) => player.take(news),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => open = false,
            }
            dirty = true;
        }
        if !open && !player.ended {
            player.take(News::Ended);
            dirty = true;
        }
        if player.is_over() && !player.timeline.is_recording() && !player.is_cut_short() {
            return Err(Error::NoRecording);
        }
        if player.playing.is_some() {
            let before = player.at();
            player.update(Message::Tick(started.elapsed()));
            dirty |= player.at() != before || player.playing.is_none();
        }
        let mut busy = false;
        while drawn.is_some() && began.elapsed() < WORK {
            busy = player.work();
            dirty |= busy;
            if !busy {
                break;
            }
        }
        if dirty && drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            draw(player, &mut screen)?;
            drawn = Some(Instant::now());
            dirty = false;
            // What a frame asks for is looked for right after it.
            busy = true;
        }
        let wait = if busy {
            Duration::ZERO
        } else if dirty {
            drawn.map_or(Duration::ZERO, |drawn| FRAME.saturating_sub(drawn.elapsed()))
        } else if open {
            OPEN
        } else {
            IDLE
        };
        let due = player.due_in(started.elapsed()).unwrap_or(IDLE).max(Duration::from_millis(1));
        let mut more = event::poll(wait.min(due))?;
        while more {
            let message = input::message(&event::read()?, player.mode());
            match message.and_then(|message| {
                dirty = true;
                player.update(message)
            }) {
                Some(Effect::Quit) => return Ok(()),
                Some(Effect::Suspend) => suspend(&mut screen)?,
                Some(Effect::Copy(text)) => copy(&mut screen, &text)?,
                None => {}
            }
            more = event::poll(Duration::ZERO)?;
        }
    }
    Ok(())
}

fn draw(player: &mut Player, screen: &mut Screen) -> io::Result<()> {
    let size = screen.size()?;
    player.update(Message::Resize(size.width, size.height));
    player.prepare();
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    screen.draw(|frame| view::draw(player, frame))?;
    execute!(screen.backend_mut(), EndSynchronizedUpdate)
}

/// Asks the terminal to put a text on its clipboard (OSC 52), which goes through ssh.
fn copy(screen: &mut Screen, text: &str) -> io::Result<()> {
    if text.len() > MAX_CLIPBOARD {
        return Ok(());
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    write!(screen.backend_mut(), "\x1b]52;c;{encoded}\x07")?;
    screen.backend_mut().flush()
}
