//! What a server of the bridge can answer.
#![no_main]

use frmdn_env::{Measured, Measurement};
use frmdn_gym_bridge::protocol::{Failure, Hello, Made, Stepped, message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((count, body)) = data.split_first() else {
        return;
    };
    let _ = serde_json::from_slice::<Hello>(body);
    let _ = serde_json::from_slice::<Failure>(body);
    if let Ok(made) = serde_json::from_slice::<Made>(body) {
        let _: Vec<Measurement> = made.measurements.into_iter().map(Into::into).collect();
    }
    // An environment of more measurements is refused when it is made.
    let count = usize::from(*count) % (Measured::MOST + 1);
    if let Some((stepped, frame)) = Stepped::read(body, count) {
        let again = [stepped.bytes(), frame.to_vec()].concat();
        assert_eq!(again, body);
        assert_eq!(message(4, 1, body).len(), 9 + body.len());
    }
});
