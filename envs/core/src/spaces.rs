//! Spaces of actions and observations.

use crate::EnvError;

/// The set of valid actions.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionSpace {
    /// Real vectors between `low` and `high`, element by element, with both ends.
    Box {
        /// Smallest values.
        low: Vec<f32>,
        /// Largest values.
        high: Vec<f32>,
    },
    /// One of `0..n`, as a vector of one integral value.
    Discrete(usize),
}

impl ActionSpace {
    /// Length of an action vector.
    pub fn len(&self) -> usize {
        match self {
            Self::Box { low, .. } => low.len(),
            Self::Discrete(_) => 1,
        }
    }

    /// Whether an action vector has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks an action.
    ///
    /// # Errors
    /// If it has the wrong length, a value out of range, or one that is not a number.
    pub fn check(&self, action: &[f32]) -> Result<(), EnvError> {
        let fits = action.len() == self.len()
            && match self {
                Self::Box { low, high } => action
                    .iter()
                    .zip(low.iter().zip(high))
                    .all(|(a, (l, h))| l <= a && a <= h),
                Self::Discrete(n) => {
                    action[0] >= 0.0 && action[0] < *n as f32 && action[0].fract() == 0.0
                }
            };
        if fits {
            Ok(())
        } else {
            Err(EnvError::Action {
                action: action.to_vec(),
                allowed: self.to_string(),
            })
        }
    }
}

impl std::fmt::Display for ActionSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Box { low, high } => {
                let ranges: Vec<String> = low
                    .iter()
                    .zip(high)
                    .map(|(l, h)| format!("[{l}, {h}]"))
                    .collect();
                write!(f, "{} values in {}", low.len(), ranges.join(" × "))
            }
            Self::Discrete(n) => write!(f, "one whole number in 0..{n}"),
        }
    }
}

/// The kind and size of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationSpace {
    /// `[height, width, channels]` bytes.
    Frame {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Channels, 3 for RGB.
        channels: usize,
    },
    /// A vector of this many `f32`.
    Latent(usize),
}

impl ObservationSpace {
    /// Number of elements of one observation.
    pub fn len(&self) -> usize {
        match *self {
            Self::Frame {
                height,
                width,
                channels,
            } => height * width * channels,
            Self::Latent(n) => n,
        }
    }

    /// Whether an observation has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where an environment writes its observation.
#[derive(Debug)]
pub enum ObservationMut<'a> {
    /// Bytes of a frame, `[height, width, channels]`.
    Frame(&'a mut [u8]),
    /// Values of a latent.
    Latent(&'a mut [f32]),
}

impl<'a> ObservationMut<'a> {
    /// The same place for a shorter time.
    pub fn again(&mut self) -> ObservationMut<'_> {
        match self {
            Self::Frame(bytes) => ObservationMut::Frame(bytes),
            Self::Latent(values) => ObservationMut::Latent(values),
        }
    }

    /// Checks that it is a place for an observation of `space`.
    ///
    /// # Errors
    /// If it is of the other kind, or has another length.
    pub fn check(&mut self, space: ObservationSpace) -> Result<(), EnvError> {
        match space {
            ObservationSpace::Frame { .. } => self.again().frame(space.len()).map(drop),
            ObservationSpace::Latent(n) => self.again().latent(n).map(drop),
        }
    }

    /// Copies another observation of the same space.
    pub(crate) fn copy_from(&mut self, other: &ObservationMut<'_>) {
        match (self, other) {
            (Self::Frame(to), ObservationMut::Frame(from)) => to.copy_from_slice(from),
            (Self::Latent(to), ObservationMut::Latent(from)) => to.copy_from_slice(from),
            _ => {}
        }
    }

    /// The bytes of a frame of `expected` bytes.
    ///
    /// # Errors
    /// If it is a latent, or has another length.
    pub fn frame(self, expected: usize) -> Result<&'a mut [u8], EnvError> {
        match self {
            Self::Frame(bytes) if bytes.len() == expected => Ok(bytes),
            Self::Frame(bytes) => Err(EnvError::Buffer {
                found: format!("{} bytes", bytes.len()),
                expected: format!("a frame of {expected} bytes"),
            }),
            Self::Latent(values) => Err(EnvError::Buffer {
                found: format!("a latent of {} values", values.len()),
                expected: format!("a frame of {expected} bytes"),
            }),
        }
    }

    /// The values of a latent of `expected` values.
    ///
    /// # Errors
    /// If it is a frame, or has another length.
    pub fn latent(self, expected: usize) -> Result<&'a mut [f32], EnvError> {
        match self {
            Self::Latent(values) if values.len() == expected => Ok(values),
            Self::Latent(values) => Err(EnvError::Buffer {
                found: format!("{} values", values.len()),
                expected: format!("a latent of {expected} values"),
            }),
            Self::Frame(bytes) => Err(EnvError::Buffer {
                found: format!("a frame of {} bytes", bytes.len()),
                expected: format!("a latent of {expected} values"),
            }),
        }
    }
}
