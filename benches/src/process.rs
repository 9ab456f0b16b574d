//! What the system says of this process, and other processes of this program.

use std::{
    mem::MaybeUninit,
    process::{Command, Stdio},
    time::Duration,
};

/// The processor time of all threads so far.
pub fn processor_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call fills what it is given, and fails only for clocks that are not there.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Bytes of this process that lie in memory; 0 where there is no `/proc`.
pub fn resident() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = sizes.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4_096
}

/// This program.
pub fn program() -> Result<std::path::PathBuf, String> {
    std::env::current_exe().map_err(|error| error.to_string())
}

/// What this program says when it runs again, with these arguments, for what must not see what was before it; and whether it
/// succeeds.
///
/// # Errors
///
/// When it cannot be run.
pub fn output(arguments: &[&str]) -> Result<(String, bool), String> {
    let output = Command::new(program()?)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((said, output.status.success()))
}
