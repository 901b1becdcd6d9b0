//! What happens to packets on their way: the fate of each, from the faults in force. Pure.

use super::cast::base_delay;
use super::faults::{FAULTS, Harm};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A direction between two nodes of the cast.
pub type Way = (usize, usize);

/// Harm done to one direction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Trouble {
    cut: bool,
    /// Share of packets lost, 0..=1.
    loss: f64,
    half_of_flows: bool,
    extra_delay: Duration,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after this time.
    Arrives(Duration),
    /// It is lost.
    Lost,
}

/// All troubles in force. No entry: fair weather.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weather {
    troubles: BTreeMap<Way, Trouble>,
}

impl Weather {
    /// The weather that these faults make; names of no fault mean nothing.
    pub fn of(active: &BTreeSet<&'static str>) -> Self {
        let mut weather = Self::default();
        for fault in FAULTS.iter().filter(|fault| active.contains(fault.id)) {
            match fault.harm {
                Harm::Cut(from, to) => weather.trouble(from, to).cut = true,
                Harm::CutBoth(a, b) => {
                    weather.trouble(a, b).cut = true;
                    weather.trouble(b, a).cut = true;
                }
                Harm::Loss(from, to, share) => weather.trouble(from, to).loss = share,
                Harm::HalfOfFlows(from, to) => weather.trouble(from, to).half_of_flows = true,
                Harm::Delay(from, to, extra) => weather.trouble(from, to).extra_delay = extra,
                Harm::SiteCutOff(site) => {
                    for (inside, outside) in super::faults::across(site) {
                        weather.trouble(inside, outside).cut = true;
                        weather.trouble(outside, inside).cut = true;
                    }
                }
                Harm::Freeze(_) | Harm::Kill(_) => {}
            }
        }
        weather
    }

    fn trouble(&mut self, from: &str, to: &str) -> &mut Trouble {
        self.troubles
            .entry((super::cast::index(from), super::cast::index(to)))
            .or_default()
    }

    /// The fate of a packet. `flow` is the flow's number on its link, `None` for what is no
    /// probe flow (gossip); `chance` is a random number in 0..1.
    pub fn fate(&self, (from, to): Way, flow: Option<usize>, chance: f64) -> Fate {
        let trouble = self.troubles.get(&(from, to)).copied().unwrap_or_default();
        let dead_flow = trouble.half_of_flows && flow.is_some_and(|flow| flow % 2 == 1);
        if trouble.cut || dead_flow || chance < trouble.loss {
            return Fate::Lost;
        }
        Fate::Arrives(base_delay(from, to) + trouble.extra_delay)
    }

    /// Whether a stream makes progress in this direction.
    pub fn flows(&self, (from, to): Way) -> bool {
        !self
            .troubles
            .get(&(from, to))
            .is_some_and(|trouble| trouble.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cast::index;
    use super::*;

    #[track_caller]
    fn check(
        active: &str,
        from: &str,
        to: &str,
        flow: Option<usize>,
        chance: f64,
        expected: Option<u64>,
    ) {
        let fault = FAULTS
            .iter()
            .find(|fault| fault.id == active)
            .map(|fault| fault.id);
        let weather = Weather::of(&fault.into_iter().collect());
        let fate = weather.fate((index(from), index(to)), flow, chance);
        let expected = expected.map_or(Fate::Lost, |ms| Fate::Arrives(Duration::from_millis(ms)));
        assert_eq!(fate, expected, "{active} {from}→{to} {flow:?} {chance}");
    }

    #[test]
    fn each_fault_harms_its_own_direction_only() {
        check("", "fra-web", "nyc-web", Some(0), 0.0, Some(40));
        check("cut", "fra-web", "nyc-web", None, 0.9, None);
        check("cut", "nyc-web", "fra-web", None, 0.0, Some(40));
        check("cut", "fra-db", "nyc-web", None, 0.0, Some(40));
        check("loss", "fra-web", "sgp-ship", Some(1), 0.1, None);
        check("loss", "fra-web", "sgp-ship", Some(1), 0.9, Some(80));
        check("loss", "sgp-ship", "fra-web", Some(1), 0.1, Some(80));
        check("flows", "nyc-web", "sgp-ship", Some(1), 0.9, None);
        check("flows", "nyc-web", "sgp-ship", Some(2), 0.9, Some(110));
        check("flows", "nyc-web", "sgp-ship", None, 0.9, Some(110));
        check("slow", "nyc-api", "fra-db", None, 0.9, Some(200));
        check("site", "nyc-web", "fra-db", None, 0.9, None);
        check("site", "sgp-ship", "nyc-api", None, 0.9, None);
        check("site", "nyc-web", "nyc-api", None, 0.9, Some(0));
        check("site", "sgp-ship", "fra-db", None, 0.9, Some(80));
        check("freeze", "fra-web", "nyc-api", None, 0.9, Some(40));
    }
}
