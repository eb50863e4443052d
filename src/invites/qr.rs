//! A text as a QR code, for a camera.

use qrcode::Color;
use qrcode::EcLevel;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// The empty frame that cameras need, in modules.
const QUIET: usize = 4;

/// A QR code as a drawing: black squares on a white one.
#[derive(Clone, Debug)]
pub struct Qr {
    /// Width and height in modules, the quiet frame included.
    pub size: usize,
    /// What is black, as an SVG path in modules.
    pub path: String,
}

impl Qr {
    /// # Errors
    ///
    /// [`Reason::TooLarge`] for more than a code holds.
    pub fn of(text: &str) -> Result<Self> {
        let code = encode(text)?;
        let width = code.width();
        let modules = code.to_colors();
        let mut path = String::with_capacity(width * width);
        for (y, row) in modules.chunks(width).enumerate() {
            let mut x = 0;
            while x < width {
                let run = row[x..].iter().take_while(|module| **module == Color::Dark).count();
                if run > 0 {
                    path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
                }
                x += run.max(1);
            }
        }
        Ok(Self {
            size: width + 2 * QUIET,
            path,
        })
    }
}

/// The code in half blocks, for a terminal: what is to be white is drawn, since most terminals are dark.
///
/// # Errors
///
/// As [`Qr::of`].
pub fn in_half_blocks(text: &str) -> Result<String> {
    let drawn = encode(text)?
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Ok(drawn)
}

fn encode(text: &str) -> Result<QrCode> {
    QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|cause| Error::new(Reason::TooLarge, "This is too long for a QR code.").caused_by(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://cloud.example.org/wayf?token=k7m2q9x4c8w3j6t5r1v0zbnpds";

    #[test]
    fn a_link_fits_a_code_that_a_phone_reads_from_a_screen() {
        let qr = Qr::of(LINK).unwrap();
        assert_eq!(qr.size, 37 + 2 * QUIET);
        // Its first corner: seven black modules inside of the frame.
        assert!(qr.path.starts_with("M4 4h7v1h-7z"), "{}", qr.path);
        assert!(qr.path.len() < 8 << 10);
        assert!(Qr::of(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn a_terminal_shows_two_rows_a_line_with_a_frame_around() {
        let text = in_half_blocks(LINK).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), (37 + 2 * QUIET).div_ceil(2));
        assert!(lines[0].chars().all(|c| c == '█'), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.chars().count() == 37 + 2 * QUIET));
    }
}
