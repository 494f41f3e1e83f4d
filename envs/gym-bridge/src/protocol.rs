//! Messages between this program and a server; `server.py` describes them.
//!
//! A message is `<u32 length> <u8 kind> <u32 ticket> <body>`, little-endian. Replies carry the
//! ticket of their request.

use serde::{Deserialize, Serialize};

/// Version of the protocol.
pub const VERSION: u64 = 1;
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
    /// The same versions, after the environment's packages were loaded.
    pub versions: std::collections::BTreeMap<String, String>,
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
    /// Sum of 1 if terminated, 2 if truncated, 4 if completed.
    pub flags: u8,
    /// Progress and the largest possible; zeros where the environment measures none.
    pub progress: (u32, u32),
}

impl Stepped {
    /// Number of bytes before the frame.
    pub const LEN: usize = 17;

    /// The head and the frame of a reply's body; `None` if it is too short.
    pub fn read(body: &[u8]) -> Option<(Self, &[u8])> {
        let (head, frame) = body.split_first_chunk::<{ Self::LEN }>()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let reward = f64::from_le_bytes(head[..8].try_into().ok()?);
        Some((
            Self {
                reward,
                flags: head[8],
                progress: (word(9), word(13)),
            },
            frame,
        ))
    }

    /// The head as bytes.
    pub fn bytes(self) -> Vec<u8> {
        let mut out = self.reward.to_le_bytes().to_vec();
        out.push(self.flags);
        out.extend(self.progress.0.to_le_bytes());
        out.extend(self.progress.1.to_le_bytes());
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
            flags: 5,
            progress: (3, 258),
        };
        let mut body = stepped.bytes();
        assert_eq!(body.len(), Stepped::LEN);
        body.extend([9, 8]);
        assert_eq!(Stepped::read(&body), Some((stepped, &[9u8, 8][..])));
        assert_eq!(Stepped::read(&body[..16]), None);
    }
}
