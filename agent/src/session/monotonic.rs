//! The clock that leases are measured with: it never jumps, and it does not stand still while the machine
//! sleeps. A host that was suspended past its lease must find it expired when it wakes.

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Milliseconds since the agent started.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The kernel's clock that counts suspended time, and its reading at the start.
    Boot(u64),
    /// The runtime's clock, which simulations turn, and how fast this one runs against it.
    Runtime(Instant, f64),
}

impl Monotonic {
    /// This machine's clock, starting now.
    pub fn machine() -> Self {
        Self(Source::Boot(boot_ms()))
    }

    /// The runtime's clock, starting now.
    pub fn simulated() -> Self {
        Self::simulated_at(1.0)
    }

    /// The runtime's clock as a host sees it whose own clock runs `rate` times as fast, starting now.
    pub fn simulated_at(rate: f64) -> Self {
        Self(Source::Runtime(Instant::now(), rate))
    }

    /// Milliseconds since the kernel booted, by the clock that [`Monotonic::machine`] counts with.
    pub fn boot_ms() -> u64 {
        boot_ms()
    }

    /// Milliseconds since the start.
    pub fn now_ms(self) -> u64 {
        match self.0 {
            Source::Boot(start) => boot_ms().saturating_sub(start),
            Source::Runtime(start, rate) => {
                u64::try_from(start.elapsed().mul_f64(rate).as_millis()).unwrap_or(u64::MAX)
            }
        }
    }
}

fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let millis = now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000);
    u64::try_from(millis).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_runs_at_its_own_rate() {
        let (usual, slow) = (Monotonic::simulated(), Monotonic::simulated_at(0.9));
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        assert_eq!((usual.now_ms(), slow.now_ms()), (10_000, 9_000));
    }

    #[test]
    fn the_machine_clock_never_goes_back() {
        let clock = Monotonic::machine();
        let readings: Vec<u64> = (0..1000).map(|_| clock.now_ms()).collect();
        assert!(readings.is_sorted());
    }
}
