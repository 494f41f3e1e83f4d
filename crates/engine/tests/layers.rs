//! Every layer against plain f64 loops, and its gradients against finite differences of those
//! loops.

use frmdn_engine::conv::{Conv2d, ConvTranspose2d};
use frmdn_engine::linear::Linear;
use frmdn_engine::random::{fill_normal, stream};

fn normals(name: &str, len: usize) -> Vec<f32> {
    let mut x = vec![0.0; len];
    fill_normal(&mut stream(5, name, &[]), &mut x);
    x
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

fn close(got: &[f32], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!(
            (f64::from(g) - w).abs() < 2e-5 * scale,
            "{what}[{i}]: {g} {w}"
        );
    }
}

#[derive(Clone, Copy)]
struct Shape {
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    k: usize,
    s: usize,
    f: usize,
}

fn conv(p: Shape, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let (oh, ow) = ((p.h - p.k) / p.s + 1, (p.w - p.k) / p.s + 1);
    let mut y = Vec::new();
    for (n, oy, ox) in
        (0..p.n).flat_map(|n| (0..oh).flat_map(move |oy| (0..ow).map(move |ox| (n, oy, ox))))
    {
        for f in 0..p.f {
            let mut sum = b[f];
            for (ky, kx, c) in (0..p.k)
                .flat_map(|ky| (0..p.k).flat_map(move |kx| (0..p.c).map(move |c| (ky, kx, c))))
            {
                sum += x[((n * p.h + oy * p.s + ky) * p.w + ox * p.s + kx) * p.c + c]
                    * w[((ky * p.k + kx) * p.c + c) * p.f + f];
            }
            y.push(sum);
        }
    }
    y
}

fn deconv(p: Shape, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let (oh, ow) = ((p.h - 1) * p.s + p.k, (p.w - 1) * p.s + p.k);
    let mut y: Vec<f64> = (0..p.n * oh * ow * p.f).map(|i| b[i % p.f]).collect();
    for (n, iy, ix) in
        (0..p.n).flat_map(|n| (0..p.h).flat_map(move |iy| (0..p.w).map(move |ix| (n, iy, ix))))
    {
        for (ky, kx, f) in
            (0..p.k).flat_map(|ky| (0..p.k).flat_map(move |kx| (0..p.f).map(move |f| (ky, kx, f))))
        {
            for c in 0..p.c {
                y[((n * oh + iy * p.s + ky) * ow + ix * p.s + kx) * p.f + f] += x
                    [((n * p.h + iy) * p.w + ix) * p.c + c]
                    * w[((ky * p.k + kx) * p.f + f) * p.c + c];
            }
        }
    }
    y
}

/// Central differences of L = Σ y·g with respect to every element of `at`.
fn differences(at: &[f64], g: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let loss = |x: &[f64]| f(x).iter().zip(g).map(|(y, g)| y * g).sum::<f64>();
    (0..at.len())
        .map(|i| {
            let (mut up, mut down) = (at.to_vec(), at.to_vec());
            up[i] += 1e-3;
            down[i] -= 1e-3;
            (loss(&up) - loss(&down)) / 2e-3
        })
        .collect()
}

/// Channel counts on both sides of the vector widths, so that full, partial and several panels are
/// all met.
const SHAPES: [Shape; 6] = [
    Shape {
        n: 1,
        h: 5,
        w: 6,
        c: 3,
        k: 2,
        s: 2,
        f: 5,
    },
    Shape {
        n: 3,
        h: 6,
        w: 5,
        c: 2,
        k: 3,
        s: 1,
        f: 19,
    },
    Shape {
        n: 2,
        h: 4,
        w: 4,
        c: 7,
        k: 2,
        s: 2,
        f: 69,
    },
    Shape {
        n: 17,
        h: 3,
        w: 3,
        c: 1,
        k: 3,
        s: 1,
        f: 16,
    },
    // Forward by Winograd's way: more tiles than are taken at once, and rows and columns that no
    // window reaches.
    Shape {
        n: 5,
        h: 15,
        w: 10,
        c: 3,
        k: 4,
        s: 2,
        f: 5,
    },
    Shape {
        n: 2,
        h: 11,
        w: 14,
        c: 5,
        k: 4,
        s: 2,
        f: 18,
    },
];

#[test]
fn convolution() {
    for p in SHAPES {
        let (x, w, b) = (
            normals("x", p.n * p.h * p.w * p.c),
            normals("w", p.k * p.k * p.c * p.f),
            normals("b", p.f),
        );
        let (x64, w64, b64) = (wide(&x), wide(&w), wide(&b));
        let mut layer = Conv2d::new(p.h, p.w, p.c, p.k, p.s, p.f);
        layer.load(&w, &b);
        layer.load_backward(&w);
        let want = conv(p, &x64, &w64, &b64);
        let mut y = vec![f32::NAN; want.len()];
        layer.forward(&x, p.n, false, &mut Vec::new(), &mut y);
        close(&y, &want, "output");
        layer.forward(&x, p.n, true, &mut Vec::new(), &mut y);
        close(
            &y,
            &want.iter().map(|v| v.max(0.0)).collect::<Vec<_>>(),
            "clipped output",
        );
        let g = normals("g", want.len());
        let (mut gx, mut gw, mut gb) = (
            vec![f32::NAN; x.len()],
            vec![0.0; w.len()],
            vec![0.0; b.len()],
        );
        layer.backward_weights(&x, &g, p.n, &mut gw, &mut gb);
        layer.backward_input(&g, p.n, &mut Vec::new(), &mut gx);
        let g = wide(&g);
        close(
            &gx,
            &differences(&x64, &g, |x| conv(p, x, &w64, &b64)),
            "input gradient",
        );
        close(
            &gw,
            &differences(&w64, &g, |w| conv(p, &x64, w, &b64)),
            "weight gradient",
        );
        close(
            &gb,
            &differences(&b64, &g, |b| conv(p, &x64, &w64, b)),
            "bias gradient",
        );
    }
}

#[test]
fn transposed_convolution() {
    for p in SHAPES {
        let (x, w, b) = (
            normals("x", p.n * p.h * p.w * p.c),
            normals("w", p.k * p.k * p.c * p.f),
            normals("b", p.f),
        );
        let (x64, w64, b64) = (wide(&x), wide(&w), wide(&b));
        let mut layer = ConvTranspose2d::new(p.h, p.w, p.c, p.k, p.s, p.f);
        layer.load(&w, &b);
        layer.load_backward(&w);
        let want = deconv(p, &x64, &w64, &b64);
        let mut y = vec![f32::NAN; want.len()];
        layer.forward(&x, p.n, &mut Vec::new(), &mut y);
        close(&y, &want, "output");
        let g = normals("g", want.len());
        let (mut gx, mut gw, mut gb) = (
            vec![f32::NAN; x.len()],
            vec![0.0; w.len()],
            vec![0.0; b.len()],
        );
        layer.backward_weights(&x, &g, p.n, &mut gw, &mut gb);
        layer.backward_input(&g, p.n, &mut gx);
        let g = wide(&g);
        close(
            &gx,
            &differences(&x64, &g, |x| deconv(p, x, &w64, &b64)),
            "input gradient",
        );
        close(
            &gw,
            &differences(&w64, &g, |w| deconv(p, &x64, w, &b64)),
            "weight gradient",
        );
        close(
            &gb,
            &differences(&b64, &g, |b| deconv(p, &x64, &w64, b)),
            "bias gradient",
        );
    }
}

#[test]
fn linear() {
    for (n, inputs, outputs) in [(1, 5, 3), (13, 33, 70), (200, 7, 16)] {
        let p = Shape {
            n,
            h: 1,
            w: 1,
            c: inputs,
            k: 1,
            s: 1,
            f: outputs,
        };
        let (x, w, b) = (
            normals("x", n * inputs),
            normals("w", inputs * outputs),
            normals("b", outputs),
        );
        let (x64, w64, b64) = (wide(&x), wide(&w), wide(&b));
        let mut layer = Linear::new(inputs, outputs);
        layer.load(&w, &b);
        layer.load_backward(&w);
        let mut y = vec![f32::NAN; n * outputs];
        layer.forward(&x, n, false, &mut y);
        close(&y, &conv(p, &x64, &w64, &b64), "output");
        let g = normals("g", y.len());
        let (mut gx, mut gw, mut gb) = (
            vec![f32::NAN; x.len()],
            vec![0.0; w.len()],
            vec![0.0; b.len()],
        );
        layer.backward_weights(&x, &g, n, &mut gw, &mut gb);
        layer.backward_input(&g, n, &mut gx);
        let g = wide(&g);
        close(
            &gx,
            &differences(&x64, &g, |x| conv(p, x, &w64, &b64)),
            "input gradient",
        );
        close(
            &gw,
            &differences(&w64, &g, |w| conv(p, &x64, w, &b64)),
            "weight gradient",
        );
        close(
            &gb,
            &differences(&b64, &g, |b| conv(p, &x64, &w64, b)),
            "bias gradient",
        );
    }
}
