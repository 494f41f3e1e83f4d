//! Named parameters: the form of weights, gradients and optimiser moments in memory and on disk.

/// One named tensor, row-major `f32`.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Documented name, for example `encoder.conv1.weight`.
    pub name: String,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Values, `shape.iter().product()` of them.
    pub value: Vec<f32>,
}

/// An ordered list of [`Param`]s. The order is part of a model's definition: gradients and moments
/// use the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(pub Vec<Param>);

/// A tensor that is missing, or has another shape than the model asks for.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ParamError {
    /// No tensor of that name.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// The shape differs.
    #[error("tensor `{name}` has shape {found:?}, the model needs {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape that was found.
        found: Vec<usize>,
        /// Shape that the model needs.
        expected: Vec<usize>,
    },
}

impl Params {
    /// Adds a tensor at the end.
    ///
    /// # Panics
    /// If `value` does not have `shape`'s number of elements: a programming error.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize], value: Vec<f32>) {
        assert_eq!(
            shape.iter().product::<usize>(),
            value.len(),
            "shape and values disagree"
        );
        self.0.push(Param {
            name: name.into(),
            shape: shape.to_vec(),
            value,
        });
    }

    /// The values of the tensor `name`, checked against `shape`.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<&[f32], ParamError> {
        let p = self
            .0
            .iter()
            .find(|p| p.name == name)
            .ok_or_else(|| ParamError::Missing(name.into()))?;
        if p.shape != shape {
            return Err(ParamError::Shape {
                name: name.into(),
                found: p.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        Ok(&p.value)
    }

    /// Values of tensor `name`, for callers that built the list themselves.
    ///
    /// # Panics
    /// If there is no such tensor: a programming error.
    pub fn value(&self, name: &str) -> &[f32] {
        &self
            .0
            .iter()
            .find(|p| p.name == name)
            .unwrap_or_else(|| panic!("no tensor {name}"))
            .value
    }

    /// The lists one after the other, their names beginning with `prefix` and the list's number:
    /// `prefix0.…`, `prefix1.…`.
    pub fn joined(prefix: &str, lists: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for (i, list) in lists.into_iter().enumerate() {
            list.0
                .into_iter()
                .for_each(|p| all.push(format!("{prefix}{i}.{}", p.name), &p.shape, p.value));
        }
        all
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub fn part(&self, prefix: &str) -> Self {
        let mut part = Self::default();
        for p in &self.0 {
            if let Some(name) = p.name.strip_prefix(prefix) {
                part.push(name, &p.shape, p.value.clone());
            }
        }
        part
    }

    /// Number of scalars in all tensors.
    pub fn count(&self) -> usize {
        self.0.iter().map(|p| p.value.len()).sum()
    }

    /// Tensors of the same names and shapes, all zero.
    pub fn zeros_like(&self) -> Params {
        Params(
            self.0
                .iter()
                .map(|p| Param {
                    name: p.name.clone(),
                    shape: p.shape.clone(),
                    value: vec![0.0; p.value.len()],
                })
                .collect(),
        )
    }

    /// Adds `other` element by element; both have the same order and shapes.
    pub fn add_assign(&mut self, other: &Params) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            debug_assert_eq!(a.name, b.name);
            for (x, y) in a.value.iter_mut().zip(&b.value) {
                *x += *y;
            }
        }
    }

    /// Multiplies every scalar by `factor`.
    pub fn scale(&mut self, factor: f32) {
        for p in &mut self.0 {
            for x in &mut p.value {
                *x *= factor;
            }
        }
    }

    /// Square root of the sum of squares over all tensors (the *global* norm), accumulated in
    /// `f64`.
    pub fn norm(&self) -> f64 {
        self.0
            .iter()
            .map(|p| sum_of_squares(&p.value))
            .sum::<f64>()
            .sqrt()
    }

    /// The first tensor that holds a value that is not finite, if any.
    pub fn first_non_finite(&self) -> Option<&str> {
        // No early exit inside a tensor: the plain fold is vectorised, and the common case is that
        // all is well.
        self.0
            .iter()
            .find(|p| p.value.iter().fold(false, |bad, x| bad | !x.is_finite()))
            .map(|p| p.name.as_str())
    }
}

/// Σ x² in sixteen interleaved sums, which the compiler keeps in vectors; one sum would wait for
/// each addition.
fn sum_of_squares(x: &[f32]) -> f64 {
    let mut sums = [0.0f64; 16];
    let chunks = x.chunks_exact(16);
    let rest: f64 = chunks
        .remainder()
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum();
    for chunk in chunks {
        for (s, &x) in sums.iter_mut().zip(chunk) {
            *s += f64::from(x) * f64::from(x);
        }
    }
    sums.iter().sum::<f64>() + rest
}
