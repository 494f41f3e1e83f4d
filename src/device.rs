//! Devices for V, M and dreams: the CPU engine, or a device of burn.
//!
//! The engine is the default and the fastest on a CPU. Every other device is a feature, off by
//! default. They share one code path, the burn definitions of V and M; tests hold the engine equal
//! to it.

use burn::tensor::{Device as Burn, Tensor};

/// The names of all devices, for messages.
pub const NAMES: &str =
    "cpu (the built-in engine), flex (burn's own CPU device), wgpu, vulkan, cuda, tch";

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// No device has this name.
    #[error("there is no device {0}; there are {NAMES}")]
    UnknownName(String),
    /// The device is a feature that this program was built without.
    #[error("this program was built without the device {0}")]
    NotBuilt(String),
    /// A small computation on the device failed.
    #[error("the device {name} does not work here: {fault}")]
    Faulty {
        /// The device.
        name: String,
        /// What went wrong.
        fault: DeviceFault,
    },
}

/// How the computation of [`Device::open`] failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeviceFault {
    /// A wrong result.
    #[error("a sum that is 36 came out as {0}")]
    WrongSum(f32),
    /// No result in time.
    #[error("it gave no answer in two minutes")]
    Timeout,
    /// A panic of the device's library, with its message.
    #[error("{0}")]
    Panicked(String),
}

/// The name of the built-in engine.
pub const CPU: &str = "cpu";

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
            name: CPU.into(),
            burn: None,
        }
    }
}

impl Device {
    /// The device `name`, after a small computation on it.
    ///
    /// # Errors
    /// If there is no such device, if this program was built without it, or if the machine lacks
    /// its driver. The error says what to do.
    pub fn open(name: &str) -> Result<Self, DeviceError> {
        let burn = match name {
            CPU => return Ok(Self::default()),
            "flex" => Some(Burn::flex()),
            "wgpu" | "vulkan" | "cuda" | "tch" => built_in(name),
            _ => return Err(DeviceError::UnknownName(name.to_owned())),
        };
        let burn = burn.ok_or_else(|| DeviceError::NotBuilt(name.to_owned()))?;
        probe(&burn).map_err(|fault| DeviceError::Faulty {
            name: name.to_owned(),
            fault,
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

    /// burn's device; `None` for the engine.
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

/// Multiplies two small matrices on `device`. A missing driver panics in a thread of the device's
/// library, so the computation runs in a thread of its own.
fn probe(device: &Burn) -> Result<(), DeviceFault> {
    let device = device.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let thread = std::thread::spawn(move || {
        let a = Tensor::<2>::ones([3, 4], &device);
        let sum: f32 = a.clone().matmul(a.transpose()).sum().into_scalar();
        // The receiver has timed out; the result is not needed.
        let _ = sender.send(sum);
    });
    let sum = receiver.recv_timeout(std::time::Duration::from_secs(120));
    std::panic::set_hook(hook);
    match sum {
        Ok(sum) if (sum - 36.0).abs() < 1e-3 => Ok(()),
        Ok(sum) => Err(DeviceFault::WrongSum(sum)),
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Err(DeviceFault::Timeout),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
            let message = thread.join().err().and_then(|panic| {
                panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            });
            let message = message.unwrap_or_else(|| "no adapter or driver was found".into());
            Err(DeviceFault::Panicked(message))
        }
    }
}

/// The device that tests compare with the engine: that of FRMDN_TEST_DEVICE, or burn's own CPU
/// device.
#[cfg(test)]
pub fn device_under_test() -> Burn {
    let name = std::env::var("FRMDN_TEST_DEVICE").unwrap_or_else(|_| "flex".into());
    let device = Device::open(&name).unwrap_or_else(|e| panic!("{e}"));
    println!("compared with {}", device.name());
    device
        .burn()
        .expect("the engine is compared with a device of burn")
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_or_say_what_is_missing() {
        assert!(Device::open("cpu").unwrap().burn().is_none());
        assert_eq!(Device::open("flex").unwrap().name(), "flex");
        let text = Device::open("gpu").unwrap_err().to_string();
        assert!(
            text.contains("gpu") && text.contains("wgpu") && text.contains("cuda"),
            "{text}"
        );
        #[cfg(not(feature = "cuda"))]
        assert_eq!(
            Device::open("cuda").unwrap_err(),
            DeviceError::NotBuilt("cuda".into())
        );
    }
}
