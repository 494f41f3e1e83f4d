//! Messages between this program and a server; `server.py` describes them.
//!
//! A message is `<u32 length> <u8 kind> <u32 ticket> <body>`, little-endian. Replies carry the
//! ticket of their request.

use frmdn_env::{Better, Measured, Measurement};
use serde::{Deserialize, Serialize};

/// Version of the protocol.
pub const VERSION: u64 = 2;
/// A reply's kind is that of its request plus this.
pub const REPLY: u8 = 128;
/// Kind of a reply that is an error.
pub const ERROR: u8 = 255;
/// Bytes of kind and ticket, with which every message begins.
pub const HEAD: usize = 5;
/// Longest message that is accepted, in bytes; frames of 8,000 × 8,000 pixels fit.
pub const LONGEST: usize = 1 << 28;

/// Requests to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Request {
    /// Versions.
    Hello = 1,
    /// Make an environment.
    Make = 2,
    /// Start an episode.
    Reset = 3,
    /// One step.
    Step = 4,
    /// Read the internal state.
    Probe = 5,
    /// Close an environment.
    Close = 6,
}

impl Request {
    /// The request as a verb, for errors.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Hello => "start",
            Self::Make => "make the environment",
            Self::Reset => "reset",
            Self::Step => "step",
            Self::Probe => "show its state",
            Self::Close => "close the environment",
        }
    }
}

/// Answer to [`Request::Hello`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Hello {
    /// The server's [`VERSION`].
    pub protocol: u64,
    /// Versions of Python and of the packages that determine what environments do.
    #[serde(default)]
    pub versions: std::collections::BTreeMap<String, String>,
}

/// Answer to [`Request::Make`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Made {
    /// Number of the environment.
    pub slot: u32,
    /// Its actions.
    pub action: Action,
    /// `[height, width, channels]` of a frame.
    pub observation: [usize; 3],
    /// Number of steps after which episodes are truncated.
    pub max_steps: Option<u32>,
    /// Gymnasium's autoreset mode. Only "disabled" is supported: the server never resets by itself.
    pub autoreset: String,
    /// Steps per second of simulated time, if the environment tells.
    #[serde(default)]
    pub steps_per_second: Option<f64>,
    /// What every step measures, in the order of the values in [`Stepped`].
    #[serde(default)]
    pub measurements: Vec<NamedMeasurement>,
    /// Number of the measurement that is progress.
    #[serde(default)]
    pub progress: Option<usize>,
    /// Number of the measurement that is its largest possible value.
    #[serde(default)]
    pub most_progress: Option<usize>,
    /// Number of the measurement that is 1 once the task was completed.
    #[serde(default)]
    pub completed: Option<usize>,
    /// Whether all seeds give the same episode.
    #[serde(default)]
    pub deterministic: bool,
    /// Names of discrete actions, where it has them.
    #[serde(default)]
    pub action_names: Vec<String>,
    /// Steps for which what is in view lasts, where it is known.
    #[serde(default)]
    pub steps_in_view: Option<u32>,
    /// The same versions, after the environment's packages were loaded.
    pub versions: std::collections::BTreeMap<String, String>,
}

/// A measurement of the environment.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NamedMeasurement {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Whether higher values are better; `None`: it only describes.
    pub higher_is_better: Option<bool>,
}

impl From<NamedMeasurement> for Measurement {
    fn from(named: NamedMeasurement) -> Self {
        Self {
            name: named.name.into(),
            unit: named.unit.into(),
            better: match named.higher_is_better {
                Some(true) => Better::Higher,
                Some(false) => Better::Lower,
                None => Better::Neither,
            },
        }
    }
}

/// An action space.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Real vectors.
    Box {
        /// Smallest values.
        low: Vec<f32>,
        /// Largest values.
        high: Vec<f32>,
    },
    /// One of `0..n`.
    Discrete {
        /// Number of actions.
        n: usize,
    },
}

/// Body of an error.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Failure {
    /// The exception's class.
    pub kind: String,
    /// Its message.
    pub message: String,
    /// Its traceback.
    #[serde(default)]
    pub trace: String,
}

/// The head of a reply to [`Request::Step`], before the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepped {
    /// Reward.
    pub reward: f64,
    /// Sum of 1 if terminated, 2 if truncated.
    pub flags: u8,
    /// The measurements of [`Made::measurements`].
    pub measured: Measured,
}

impl Stepped {
    /// Number of bytes before the measurements.
    const HEAD: usize = 9;

    /// The head, with `count` measurements, and the frame of a reply's body; `None` if it is too
    /// short.
    pub fn read(body: &[u8], count: usize) -> Option<(Self, &[u8])> {
        let (head, rest) = body.split_first_chunk::<{ Self::HEAD }>()?;
        let (values, frame) = rest.split_at_checked(8 * count)?;
        let mut measured = [0.0; Measured::MOST];
        for (to, bytes) in measured.iter_mut().zip(values.as_chunks::<8>().0) {
            *to = f64::from_le_bytes(*bytes);
        }
        let stepped = Self {
            reward: f64::from_le_bytes(head[..8].try_into().ok()?),
            flags: head[8],
            measured: Measured::new(&measured[..count]),
        };
        Some((stepped, frame))
    }

    /// The head as bytes.
    pub fn bytes(self) -> Vec<u8> {
        let mut out = self.reward.to_le_bytes().to_vec();
        out.push(self.flags);
        for value in &self.measured[..] {
            out.extend(value.to_le_bytes());
        }
        out
    }
}

/// A whole message.
pub fn message(kind: u8, ticket: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEAD + body.len()).expect("requests are short");
    let mut out = Vec::with_capacity(4 + HEAD + body.len());
    out.extend(length.to_le_bytes());
    out.push(kind);
    out.extend(ticket.to_le_bytes());
    out.extend(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_layout_of_the_server() {
        // struct.pack("<IBI", 2 + 5, 4, 258) + b"ab"
        assert_eq!(
            message(4, 258, b"ab"),
            [7, 0, 0, 0, 4, 2, 1, 0, 0, b'a', b'b']
        );
        let stepped = Stepped {
            reward: -0.5,
            flags: 1,
            measured: Measured::new(&[3.0, 258.0]),
        };
        let mut body = stepped.bytes();
        assert_eq!(body.len(), Stepped::HEAD + 16);
        body.extend([9, 8]);
        assert_eq!(Stepped::read(&body, 2), Some((stepped, &[9u8, 8][..])));
        assert_eq!(Stepped::read(&body[..24], 2), None);
    }
}
