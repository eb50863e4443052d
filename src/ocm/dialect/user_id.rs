//! Ids of people as some servers wrap them: base64 around `id@host`.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;

use crate::ocm::address::OcmAddress;

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);

/// The address inside the identifier, where there is one at the same server: `MTJAYS5vcmc@a.org` is `12@a.org`.
///
/// opencloudmesh-go and OpenCloud until November 2025 name their people in the wrapped form. That OpenCloud finds them
/// by the plain one only (it answers 404 to its own), and its later versions send that; so both name one person. What is
/// sent back to a server otherwise is what it sent.
pub fn unwrapped(address: &OcmAddress) -> Option<OcmAddress> {
    let bytes = STANDARD
        .decode(&address.identifier)
        .or_else(|_| URL_SAFE.decode(&address.identifier))
        .ok()?;
    let inside = OcmAddress::parse_lenient(std::str::from_utf8(&bytes).ok()?).ok()?;
    (inside.provider == address.provider).then_some(inside)
}
