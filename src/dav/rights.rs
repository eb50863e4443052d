//! Who may do what where: the one table that every WebDAV request passes before anything is looked at (T-65).

use actix_web::http::StatusCode;

use super::refusal::Outcome;
use super::refusal::Refusal;

/// What someone may do below a [`Mount`](super::Mount).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    pub read: bool,
    pub write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Options,
    Propfind,
    Get,
    Head,
    Put,
    Proppatch,
    Lock,
    Unlock,
    Mkcol,
    Delete,
    Move,
    Copy,
}

impl Method {
    pub(super) const ALL: [Self; 12] = [
        Self::Options,
        Self::Propfind,
        Self::Get,
        Self::Head,
        Self::Put,
        Self::Proppatch,
        Self::Lock,
        Self::Unlock,
        Self::Mkcol,
        Self::Delete,
        Self::Move,
        Self::Copy,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Propfind => "PROPFIND",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Proppatch => "PROPPATCH",
            Self::Lock => "LOCK",
            Self::Unlock => "UNLOCK",
            Self::Mkcol => "MKCOL",
            Self::Delete => "DELETE",
            Self::Move => "MOVE",
            Self::Copy => "COPY",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// Where a URL leads, as far as rights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// The shared file or folder itself, which its owner keeps where it is.
    Root,
    /// In the shared folder.
    Inside,
}

/// The table. What it does not name is refused. `to` is where a `Destination` leads.
fn permitted(method: Method, rights: Rights, at: Spot, to: Option<Spot>) -> bool {
    use Method::*;
    use Spot::*;
    match (method, at, to) {
        (Options, Root | Inside, None) => rights.read || rights.write,
        (Propfind | Get | Head, Root | Inside, None) => rights.read,
        (Put | Proppatch | Lock | Unlock | Mkcol, Root | Inside, None) => rights.write,
        (Delete, Inside, None) => rights.write,
        (Move, Inside, Some(Inside)) => rights.write,
        (Copy, Root | Inside, Some(Inside)) => rights.read && rights.write,
        _ => false,
    }
}

/// # Errors
///
/// 403 unless the table permits it.
pub(super) fn authorise(method: Method, rights: Rights, at: Spot, to: Option<Spot>) -> Outcome<()> {
    if permitted(method, rights, at, to) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "This may not be done with this share.",
    ))
}

/// The methods that may succeed at this spot, for `Allow`.
pub(super) fn allowed(rights: Rights, at: Spot) -> String {
    let possible = |method: &Method| {
        let to = matches!(method, Method::Move | Method::Copy).then_some(Spot::Inside);
        permitted(*method, rights, at, to)
    };
    let names: Vec<_> = Method::ALL.into_iter().filter(possible).map(Method::name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same rule told the other way round: by what must not happen.
    fn must_be_refused(method: Method, rights: Rights, at: Spot, to: Option<Spot>) -> bool {
        let transfers = matches!(method, Method::Move | Method::Copy);
        let reads = matches!(method, Method::Propfind | Method::Get | Method::Head | Method::Copy);
        let writes = !matches!(method, Method::Propfind | Method::Get | Method::Head | Method::Options);
        (reads && !rights.read)
            || (writes && !rights.write)
            || (!rights.read && !rights.write)
            || (transfers != to.is_some())
            || to == Some(Spot::Root)
            || (at == Spot::Root && matches!(method, Method::Delete | Method::Move))
    }

    #[test]
    fn t65_every_method_with_all_rights_at_all_places_is_permitted_or_refused_by_one_table() {
        let mut checked = 0;
        for method in Method::ALL {
            for (read, write) in [(false, false), (true, false), (false, true), (true, true)] {
                for at in [Spot::Root, Spot::Inside] {
                    for to in [None, Some(Spot::Root), Some(Spot::Inside)] {
                        let rights = Rights { read, write };
                        assert_eq!(
                            authorise(method, rights, at, to).is_err(),
                            must_be_refused(method, rights, at, to),
                            "{method:?} {rights:?} {at:?} {to:?}"
                        );
                        checked += 1;
                    }
                }
            }
        }
        assert_eq!(checked, 288);
    }

    #[test]
    fn only_what_may_be_done_is_advertised() {
        let read = Rights {
            read: true,
            write: false,
        };
        let both = Rights {
            read: true,
            write: true,
        };
        assert_eq!(allowed(read, Spot::Inside), "OPTIONS, PROPFIND, GET, HEAD");
        assert!(allowed(both, Spot::Inside).contains("DELETE"));
        assert!(!allowed(both, Spot::Root).contains("DELETE") && !allowed(both, Spot::Root).contains("MOVE"));
        assert_eq!(allowed(Rights::default(), Spot::Inside), "");
    }
}
