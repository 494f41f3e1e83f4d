//! Convolution and transposed convolution without padding, NHWC, forward and backward.
//!
//! The two are adjoint: a transposed convolution's forward pass is a convolution's gradient with
//! respect to its input. Both are therefore one sliding-window geometry and three products;
//! `gather.rs` says how they avoid im2col. Where a layer's shape allows it, a convolution's forward
//! pass uses Winograd's method: see `winograd.rs`.

use crate::{
    gather::{Packed, Windows, gram, product},
    winograd::Winograd,
};

/// The sliding window: an image [height, width, channels] seen through kernel × kernel windows.
#[derive(Clone, Debug)]
struct Geometry {
    height: usize,
    width: usize,
    channels: usize,
    kernel: usize,
    stride: usize,
    filters: usize,
    rows: usize,
    windows: Windows,
}

impl Geometry {
    fn new(
        height: usize,
        width: usize,
        channels: usize,
        kernel: usize,
        stride: usize,
        filters: usize,
    ) -> Self {
        assert!(
            kernel <= height && kernel <= width && stride > 0,
            "the kernel does not fit the image"
        );
        let (oh, ow) = (
            (height - kernel) / stride + 1,
            (width - kernel) / stride + 1,
        );
        let table = (0..oh * ow)
            .map(|i| ((i / ow) * width + i % ow) * stride * channels)
            .collect();
        let segments = (0..kernel).map(|y| y * width * channels).collect();
        let windows = Windows {
            table,
            frame: height * width * channels,
            segments,
            run: kernel * channels,
        };
        Self {
            height,
            width,
            channels,
            kernel,
            stride,
            filters,
            rows: oh * ow,
            windows,
        }
    }

    fn depth(&self) -> usize {
        self.windows.depth()
    }

    /// Frames whose windows are scattered at once: enough rows to amortise reading the weights,
    /// few enough that the scratch stays in the second-level cache.
    fn group(&self) -> usize {
        (48 / self.rows).max(1)
    }

    /// `image` += windowsᵀ(`small` · `transposed`), frame by frame: each window's values are added
    /// where it was read.
    fn spread(
        &self,
        small: &[f32],
        frames: usize,
        transposed: &Packed,
        scratch: &mut Vec<f32>,
        image: &mut [f32],
    ) {
        let dense = Windows::dense(self.filters);
        let (depth, per_frame) = (self.depth(), self.rows * self.filters);
        let mut first = 0;
        while first < frames {
            let count = self.group().min(frames - first);
            scratch.resize(self.group() * self.rows * depth, 0.0);
            let columns = &mut scratch[..count * self.rows * depth];
            product(
                &small[first * per_frame..(first + count) * per_frame],
                &dense,
                count * self.rows,
                transposed,
                false,
                columns,
            );
            for (f, columns) in columns.chunks_exact(self.rows * depth).enumerate() {
                let frame = &mut image
                    [(first + f) * self.windows.frame..(first + f + 1) * self.windows.frame];
                for (&start, window) in self.windows.table.iter().zip(columns.chunks_exact(depth)) {
                    for (&segment, run) in self
                        .windows
                        .segments
                        .iter()
                        .zip(window.chunks_exact(self.windows.run))
                    {
                        for (x, &y) in frame[start + segment..start + segment + self.windows.run]
                            .iter_mut()
                            .zip(run)
                        {
                            *x += y;
                        }
                    }
                }
            }
            first += count;
        }
    }
}

/// `sums[j]` += Σᵢ `rows[i, j]`: the gradient of a bias.
pub(crate) fn add_columns(rows: &[f32], sums: &mut [f32]) {
    for row in rows.chunks_exact(sums.len()) {
        for (s, &x) in sums.iter_mut().zip(row) {
            *s += x;
        }
    }
}

/// Convolution [n, height, width, channels] → [n, out_height, out_width, filters].
///
/// Weights are [kernel, kernel, channels, filters] (HWIO), row-major; the bias is `[filters]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    geometry: Geometry,
    forward: Forward,
    backward: Packed,
}

/// How the forward pass is computed.
#[derive(Clone, Debug)]
enum Forward {
    Direct(Packed),
    Winograd(Box<Winograd>),
}

impl Conv2d {
    /// A layer for images of one size, its weights still to be loaded.
    ///
    /// # Panics
    /// If the kernel is larger than the image or the stride is 0.
    pub fn new(
        height: usize,
        width: usize,
        channels: usize,
        kernel: usize,
        stride: usize,
        filters: usize,
    ) -> Self {
        let geometry = Geometry::new(height, width, channels, kernel, stride, filters);
        let forward = if Winograd::is_faster([height, width], kernel, stride) {
            Forward::Winograd(Box::new(Winograd::new([height, width], channels, filters)))
        } else {
            Forward::Direct(Packed::default())
        };
        Self {
            geometry,
            forward,
            backward: Packed::default(),
        }
    }

    /// Takes in weights for [`Conv2d::forward`].
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn load(&mut self, weight: &[f32], bias: &[f32]) {
        match &mut self.forward {
            Forward::Direct(packed) => packed.pack(
                weight,
                self.geometry.depth(),
                self.geometry.filters,
                Some(bias),
            ),
            Forward::Winograd(winograd) => winograd.load(weight, bias),
        }
    }

    /// Takes in weights for [`Conv2d::backward_input`].
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn load_backward(&mut self, weight: &[f32]) {
        self.backward
            .pack_transposed(weight, self.geometry.filters, self.geometry.depth());
    }

    /// Height and width of the output.
    pub fn output(&self) -> (usize, usize) {
        let g = &self.geometry;
        (
            (g.height - g.kernel) / g.stride + 1,
            (g.width - g.kernel) / g.stride + 1,
        )
    }

    /// Values in one output frame.
    pub fn output_len(&self) -> usize {
        self.geometry.rows * self.geometry.filters
    }

    /// `y` = x * weight + bias, clipped at zero if `relu`. A frame's result does not depend on the
    /// other frames. `scratch` is resized as needed and may be shared by layers.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn forward(
        &self,
        x: &[f32],
        frames: usize,
        relu: bool,
        scratch: &mut Vec<f32>,
        y: &mut [f32],
    ) {
        match &self.forward {
            Forward::Direct(packed) => product(
                x,
                &self.geometry.windows,
                frames * self.geometry.rows,
                packed,
                relu,
                y,
            ),
            Forward::Winograd(winograd) => winograd.forward(x, frames, relu, scratch, y),
        }
    }

    /// Adds the gradients of weights and bias, given those of the output (before the activation).
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn backward_weights(
        &self,
        x: &[f32],
        gy: &[f32],
        frames: usize,
        weight: &mut [f32],
        bias: &mut [f32],
    ) {
        gram(
            x,
            &self.geometry.windows,
            frames * self.geometry.rows,
            gy,
            self.geometry.filters,
            weight,
        );
        add_columns(gy, bias);
    }

    /// Writes the gradient of the input into `gx`. `scratch` is resized as needed and may be shared
    /// by layers.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn backward_input(
        &self,
        gy: &[f32],
        frames: usize,
        scratch: &mut Vec<f32>,
        gx: &mut [f32],
    ) {
        gx.fill(0.0);
        self.geometry
            .spread(gy, frames, &self.backward, scratch, gx);
    }
}

/// Transposed convolution [n, height, width, channels] → [n, (height − 1)·stride + kernel, …,
/// filters].
///
/// Weights are [kernel, kernel, filters, channels], row-major: those of the convolution it is the
/// adjoint of.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    geometry: Geometry,
    forward: Packed,
    backward: Packed,
    bias: Vec<f32>,
}

impl ConvTranspose2d {
    /// A layer for images of one size, its weights still to be loaded.
    ///
    /// # Panics
    /// If height, width or stride is 0.
    pub fn new(
        height: usize,
        width: usize,
        channels: usize,
        kernel: usize,
        stride: usize,
        filters: usize,
    ) -> Self {
        let (oh, ow) = (
            (height - 1) * stride + kernel,
            (width - 1) * stride + kernel,
        );
        let geometry = Geometry::new(oh, ow, filters, kernel, stride, channels);
        Self {
            geometry,
            forward: Packed::default(),
            backward: Packed::default(),
            bias: vec![0.0; filters],
        }
    }

    /// Takes in weights for [`ConvTranspose2d::forward`].
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn load(&mut self, weight: &[f32], bias: &[f32]) {
        self.forward
            .pack_transposed(weight, self.geometry.filters, self.geometry.depth());
        self.bias.copy_from_slice(bias);
    }

    /// Takes in weights for [`ConvTranspose2d::backward_input`].
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn load_backward(&mut self, weight: &[f32]) {
        self.backward
            .pack(weight, self.geometry.depth(), self.geometry.filters, None);
    }

    /// Values in one output frame.
    pub fn output_len(&self) -> usize {
        self.geometry.windows.frame
    }

    /// Height and width of the output.
    pub fn output(&self) -> (usize, usize) {
        (self.geometry.height, self.geometry.width)
    }

    /// `y` = the transposed convolution of `x`, plus bias; no activation.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn forward(&self, x: &[f32], frames: usize, scratch: &mut Vec<f32>, y: &mut [f32]) {
        for pixel in y.chunks_exact_mut(self.geometry.channels) {
            pixel.copy_from_slice(&self.bias);
        }
        self.geometry.spread(x, frames, &self.forward, scratch, y);
    }

    /// Adds the gradients of weights and bias, given those of the output (before the activation).
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn backward_weights(
        &self,
        x: &[f32],
        gy: &[f32],
        frames: usize,
        weight: &mut [f32],
        bias: &mut [f32],
    ) {
        gram(
            gy,
            &self.geometry.windows,
            frames * self.geometry.rows,
            x,
            self.geometry.filters,
            weight,
        );
        add_columns(gy, bias);
    }

    /// Writes the gradient of the input into `gx`.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn backward_input(&self, gy: &[f32], frames: usize, gx: &mut [f32]) {
        product(
            gy,
            &self.geometry.windows,
            frames * self.geometry.rows,
            &self.backward,
            false,
            gx,
        );
    }
}
