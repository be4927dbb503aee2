//! What the program asks of the system's allocator: the one `unsafe` of the pipeline.

/// Lets glibc have as many arenas as there are processors, where it would have eight times as many. What one thread frees, another
/// that has another arena cannot use; rows go from thread to thread here, so that the process would keep the peak of each. At 64
/// senders of spans the peak is about 20 MiB lower for it, and as many rows pass (`docs/performance.md`).
///
/// Whoever starts the program and sets `MALLOC_ARENA_MAX` or `GLIBC_TUNABLES` is obeyed. Programs that embed the library decide for themselves.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn share_arenas() {
    if ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"].iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let arenas = libc::c_int::try_from(processors.max(2)).unwrap_or(libc::c_int::MAX);
    // SAFETY: mallopt takes two numbers and no memory of ours, and no other thread has been started yet. Where it refuses, the
    // allocator goes on as it was.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, arenas);
    }
}

/// Other allocators have no arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn share_arenas() {}
