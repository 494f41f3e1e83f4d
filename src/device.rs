//! Where V, M and dreams are computed: on the CPU engine, or through burn on a device.
//!
//! The engine is the default and the fastest on a CPU. Everything else is a feature, off by
//! default, and one code path: the burn definitions of V and M, which the engine is held equal to.

use burn::tensor::{Device as Burn, Tensor};

/// The names, in words for messages.
pub const NAMES: &str =
    "cpu (the built-in engine), flex (burn's own CPU device), wgpu, vulkan, cuda, tch";

/// A device by name.
#[derive(Clone, Debug)]
pub struct Device {
    name: String,
    burn: Option<Burn>,
}

impl Default for Device {
    /// The engine.
    fn default() -> Self {
        Self {
            name: "cpu".into(),
            burn: None,
        }
    }
}

impl Device {
    /// The device `name`, after a small computation on it. A name that does not exist, a program
    /// built without it, and a machine without its driver are errors that say what to do.
    pub fn open(name: &str) -> Result<Self, String> {
        let burn = match name {
            "cpu" => return Ok(Self::default()),
            "flex" => Some(Burn::flex()),
            "wgpu" | "vulkan" | "cuda" | "tch" => built_in(name),
            _ => {
                return Err(format!(
                    "--device {name}: there is no such device; there are {NAMES}"
                ));
            }
        };
        let burn = burn.ok_or_else(|| {
            format!(
                "--device {name}: this program was built without it. Type: \
                cargo build --release --features {name}"
            )
        })?;
        probe(&burn).map_err(|why| {
            format!(
                "--device {name} does not work here: {why}. Install its driver (for Vulkan on \
                Debian: apt-get install mesa-vulkan-drivers), or use --device cpu"
            )
        })?;
        Ok(Self {
            name: name.into(),
            burn: Some(burn),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device for burn; the engine has none.
    pub fn burn(&self) -> Option<&Burn> {
        self.burn.as_ref()
    }
}

/// The devices that were compiled in.
#[allow(
    unused_variables,
    reason = "without features there is nothing to ask for"
)]
fn built_in(name: &str) -> Option<Burn> {
    #[cfg(feature = "wgpu")]
    if name == "wgpu" {
        return Some(Burn::wgpu(burn::tensor::DeviceKind::DefaultDevice));
    }
    #[cfg(feature = "vulkan")]
    if name == "vulkan" {
        return Some(Burn::vulkan(burn::tensor::DeviceKind::DefaultDevice));
    }
    #[cfg(feature = "cuda")]
    if name == "cuda" {
        return Some(Burn::cuda(0));
    }
    #[cfg(feature = "tch")]
    if name == "tch" {
        #[expect(deprecated, reason = "the user asked for libtorch by name")]
        return Some(Burn::libtorch());
    }
    None
}

/// Multiplies two small matrices there. A missing driver panics in a thread of the device's own, so
/// it is asked in another one.
fn probe(device: &Burn) -> Result<(), String> {
    let device = device.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let asked = std::thread::spawn(move || {
        let a = Tensor::<2>::ones([3, 4], &device);
        let sum: f32 = a.clone().matmul(a.transpose()).sum().into_scalar();
        // Nobody listens any more after the time is up.
        let _ = tell.send(sum);
    });
    let sum = told.recv_timeout(std::time::Duration::from_secs(120));
    std::panic::set_hook(hook);
    match sum {
        Ok(sum) if (sum - 36.0).abs() < 1e-3 => Ok(()),
        Ok(sum) => Err(format!("a sum that is 36 came out as {sum}")),
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
            Err("it gave no answer in two minutes".into())
        }
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
            let words = asked.join().err().and_then(|e| {
                e.downcast_ref::<String>()
                    .cloned()
                    .or_else(|| e.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            });
            Err(words.unwrap_or_else(|| "no adapter or driver was found".into()))
        }
    }
}

/// The device that tests compare with the engine: burn's own, or the one that FRMDN_TEST_DEVICE
/// names.
#[cfg(test)]
pub fn device_under_test() -> Burn {
    let name = std::env::var("FRMDN_TEST_DEVICE").unwrap_or_else(|_| "flex".into());
    let device = Device::open(&name).unwrap_or_else(|e| panic!("{e}"));
    println!("compared with {}", device.name());
    device
        .burn()
        .expect("the engine is what it is compared with")
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_or_say_what_is_missing() {
        assert!(Device::open("cpu").unwrap().burn().is_none());
        assert_eq!(Device::open("flex").unwrap().name(), "flex");
        let text = Device::open("gpu").unwrap_err();
        assert!(
            text.contains("gpu") && text.contains("wgpu") && text.contains("cuda"),
            "{text}"
        );
        #[cfg(not(feature = "cuda"))]
        assert!(
            Device::open("cuda")
                .unwrap_err()
                .contains("--features cuda")
        );
    }
}
