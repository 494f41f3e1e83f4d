//! MP4: what ffmpeg makes of the frames, where it is installed.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use image::{ImageError, ImageResult};

use super::{Reel, Shape};
use crate::run::{Result, RunError};

/// The program.
const FFMPEG: &str = "ffmpeg";

/// An MP4, once ffmpeg has ended.
pub(super) struct Mp4 {
    path: PathBuf,
    milliseconds: u32,
    /// Started with the first frame, whose shape it has to know.
    ffmpeg: Option<Child>,
}

impl Mp4 {
    /// # Errors
    /// If there is no ffmpeg.
    pub fn new(path: &Path, milliseconds: u32) -> Result<Self> {
        let answers = Command::new(FFMPEG)
            .arg("-version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match answers {
            Ok(status) if status.success() => Ok(Self {
                path: path.to_path_buf(),
                milliseconds,
                ffmpeg: None,
            }),
            _ => Err(RunError::Config(
                "an MP4 is made by ffmpeg, which is not installed here: install it, or name a \
                 film that ends in .gif or .webp"
                    .into(),
            )),
        }
    }
}

/// An ffmpeg that makes the file `path` of frames of that shape.
fn start(path: &Path, milliseconds: u32, Shape { width, height }: Shape) -> io::Result<Child> {
    Command::new(FFMPEG)
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-s", &format!("{width}x{height}")])
        .args(["-r", &format!("1000/{}", milliseconds)])
        .args(["-i", "-"])
        // Players want even sides and this form of colours.
        .args([
            "-vf",
            "pad=ceil(iw/2)*2:ceil(ih/2)*2",
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-movflags", "+faststart", "-f", "mp4", "-y"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

impl Reel for Mp4 {
    fn push(&mut self, shape: Shape, rgb: &[u8]) -> ImageResult<()> {
        let ffmpeg = match &mut self.ffmpeg {
            Some(ffmpeg) => ffmpeg,
            none => none.insert(start(&self.path, self.milliseconds, shape)?),
        };
        let input = ffmpeg.stdin.as_mut().expect("it is piped");
        match input.write_all(rgb) {
            // It has ended, and says why.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(end(&mut self.ffmpeg)),
            result => Ok(result?),
        }
    }

    fn finish(mut self: Box<Self>) -> ImageResult<()> {
        let ffmpeg = self.ffmpeg.as_mut().expect("there was a frame");
        drop(ffmpeg.stdin.take());
        match ffmpeg.wait()?.success() {
            true => Ok(()),
            false => Err(end(&mut self.ffmpeg)),
        }
    }
}

/// What ffmpeg said before it ended.
fn end(ffmpeg: &mut Option<Child>) -> ImageError {
    let mut said = String::new();
    if let Some(mut ffmpeg) = ffmpeg.take() {
        drop(ffmpeg.stdin.take());
        if let Some(mut errors) = ffmpeg.stderr.take() {
            // What cannot be read is not said.
            let _ = errors.read_to_string(&mut said);
        }
        let _ = ffmpeg.wait();
    }
    ImageError::IoError(io::Error::other(format!("ffmpeg failed: {}", said.trim())))
}

impl Drop for Mp4 {
    /// A film that is not finished has no use for ffmpeg.
    fn drop(&mut self) {
        if let Some(ffmpeg) = &mut self.ffmpeg {
            let _ = ffmpeg.kill();
            let _ = ffmpeg.wait();
        }
    }
}
