//! Which catalog each zone belongs to, and what becomes of it when a catalog changes (RFC 9432 §5).
//!
//! A zone belongs to the catalog that listed it first, until that one lists it no longer, or hands it over by its `coo` property
//! (RFC 9432 §4.3.1). Who lists it besides is passed over, and told so.

use super::Member;
use crate::name::to_text;
use std::collections::BTreeMap;

/// All catalogs that are followed.
#[derive(Debug, Default)]
pub struct Catalogs {
    /// What each listed when it was last good.
    members: BTreeMap<Vec<u8>, Vec<Member>>,
    owned: BTreeMap<Vec<u8>, Owned>,
    incarnations: u64,
}

/// A zone and its catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The catalog's name.
    pub catalog: Vec<u8>,
    /// The label that the zone has there.
    pub label: Vec<u8>,
    /// Another number: whatever was known of the zone is to be forgotten.
    pub incarnation: u64,
}

/// What has become of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is new.
    Added(Vec<u8>),
    /// No catalog lists it any more.
    Removed(Vec<u8>),
    /// Its label is another one: it starts anew (RFC 9432 §5.4).
    Reset(Vec<u8>),
    /// It belongs to this catalog now, which the one before wanted.
    Moved(Vec<u8>, Vec<u8>),
    /// It belongs to that catalog, and this one's is passed over (RFC 9432 §5.2).
    Clash(Vec<u8>, Vec<u8>),
}

impl std::fmt::Display for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            News::Added(zone) => write!(f, "zone {} is added", to_text(zone)),
            News::Removed(zone) => write!(f, "zone {} is removed", to_text(zone)),
            News::Reset(zone) => write!(f, "zone {} has another label and starts anew", to_text(zone)),
            News::Moved(zone, to) => write!(f, "zone {} is handed over to {}", to_text(zone), to_text(to)),
            News::Clash(zone, owner) => write!(
                f,
                "zone {} is passed over, since it belongs to the catalog {}, which does not hand it over by a `coo` record",
                to_text(zone),
                to_text(owner)
            ),
        }
    }
}

impl Catalogs {
    /// Follows the catalog called `name`, whose members are not known yet.
    pub fn follow(&mut self, name: &[u8]) {
        self.members.entry(name.to_vec()).or_default();
    }

    /// Whether that is a catalog that is followed.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.members.contains_key(name)
    }

    /// The names of all that are followed.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.members.keys().map(Vec::as_slice)
    }

    /// All zones that belong to a catalog.
    pub fn zones(&self) -> impl Iterator<Item = (&[u8], &Owned)> {
        self.owned.iter().map(|(zone, owned)| (&zone[..], owned))
    }

    /// The catalog called `name` lists these members from now on, sorted as [`read`](super::read) has them.
    pub fn update(&mut self, name: &[u8], members: Vec<Member>) -> Vec<News> {
        let before = self.members.insert(name.to_vec(), members.clone()).unwrap_or_default();
        let mut news = Vec::new();
        self.let_go(name, &members, &mut news);
        for listed in members.chunk_by(|one, other| one.zone == other.zone) {
            let zone = &listed[0].zone;
            let owned = self.owned.get(zone).cloned();
            // The same zone twice in a catalog: the one that is known, or else the first (RFC 9432 §5.2).
            let is_known = |member: &&Member| {
                owned.as_ref().is_some_and(|owned| owned.catalog == name && owned.label == member.label)
            };
            let member = listed.iter().find(is_known).unwrap_or(&listed[0]);
            match owned {
                None => {
                    self.take(name, member, true);
                    news.push(News::Added(zone.clone()));
                }
                Some(owned) if owned.catalog == name => {
                    if owned.label != member.label {
                        self.take(name, member, true);
                        news.push(News::Reset(zone.clone()));
                    }
                    self.hand_over(name, member, &mut news);
                }
                Some(owned) if self.hands_over(&owned.catalog, zone, name) => {
                    self.take(name, member, owned.label != member.label);
                    news.push(News::Moved(zone.clone(), name.to_vec()));
                }
                Some(owned) if !before.contains(member) => {
                    news.push(News::Clash(zone.clone(), owned.catalog));
                }
                Some(_) => {}
            }
        }
        news
    }

    /// Zones that the catalog no longer lists: they go to another that does, or nowhere.
    fn let_go(&mut self, name: &[u8], members: &[Member], news: &mut Vec<News>) {
        let is_listed = |zone: &[u8]| members.binary_search_by(|member| member.zone[..].cmp(zone)).is_ok();
        let gone = self.owned.iter().filter(|(zone, owned)| owned.catalog == name && !is_listed(zone));
        for zone in gone.map(|(zone, _)| zone.clone()).collect::<Vec<_>>() {
            self.owned.remove(&zone);
            let other =
                self.members.iter().find_map(|(other, all)| Some((other.clone(), find(all, &zone)?.clone())));
            match other {
                Some((other, member)) => {
                    self.take(&other, &member, true);
                    news.push(News::Moved(zone, other));
                }
                None => news.push(News::Removed(zone)),
            }
        }
    }

    /// Gives a member to the catalog that its `coo` property names, if that lists it already.
    fn hand_over(&mut self, name: &[u8], member: &Member, news: &mut Vec<News>) {
        let Some(to) = member.owner.as_ref().filter(|owner| *owner != name) else { return };
        let Some(there) = self.members.get(to).and_then(|all| find(all, &member.zone)).cloned() else {
            return;
        };
        self.take(to, &there, there.label != member.label);
        news.push(News::Moved(member.zone.clone(), to.clone()));
    }

    /// Whether `owner` allows `to` to take the zone over.
    fn hands_over(&self, owner: &[u8], zone: &[u8], to: &[u8]) -> bool {
        let listed = self.members.get(owner).and_then(|all| find(all, zone));
        listed.is_some_and(|member| member.owner.as_deref() == Some(to))
    }

    fn take(&mut self, catalog: &[u8], member: &Member, anew: bool) {
        let before = self.owned.get(&member.zone).map(|owned| owned.incarnation);
        let incarnation = match before.filter(|_| !anew) {
            Some(same) => same,
            None => {
                self.incarnations += 1;
                self.incarnations
            }
        };
        let owned = Owned { catalog: catalog.to_vec(), label: member.label.clone(), incarnation };
        self.owned.insert(member.zone.clone(), owned);
    }
}

fn find<'m>(members: &'m [Member], zone: &[u8]) -> Option<&'m Member> {
    let first = members.partition_point(|member| member.zone[..] < *zone);
    members.get(first).filter(|member| member.zone == zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and labels of one letter.
    fn wire(name: &str) -> Vec<u8> {
        [&[name.len() as u8], name.as_bytes(), b"\0"].concat()
    }

    /// Each step is `CATALOG: LABEL=ZONE LABEL=ZONE>OWNER …`, and what it says.
    #[track_caller]
    fn check(steps: &[(&str, &[&str])]) {
        let mut catalogs = Catalogs::default();
        for (number, (step, expect)) in steps.iter().enumerate() {
            let (catalog, list) = step.split_once(':').unwrap();
            let member = |text: &str| {
                let (label, zone) = text.split_once('=').unwrap();
                let (zone, owner) =
                    zone.split_once('>').map_or((zone, None), |(zone, owner)| (zone, Some(owner)));
                Member { zone: wire(zone), label: label.into(), owner: owner.map(wire) }
            };
            let mut members: Vec<Member> = list.split_whitespace().map(member).collect();
            members.sort_unstable();
            let news: Vec<String> = catalogs
                .update(&wire(catalog), members)
                .iter()
                .map(|news| match news {
                    News::Added(zone) => format!("+{}", to_text(zone)),
                    News::Removed(zone) => format!("-{}", to_text(zone)),
                    News::Reset(zone) => format!("!{}", to_text(zone)),
                    News::Moved(zone, to) => format!("{}>{}", to_text(zone), to_text(to)),
                    News::Clash(zone, with) => format!("{}?{}", to_text(zone), to_text(with)),
                })
                .collect();
            assert_eq!(news, *expect, "step {number}: {step}");
        }
    }

    #[test]
    fn members_come_and_go_and_a_new_label_starts_anew() {
        check(&[
            ("c: 1=a 2=b", &["+a.", "+b."]),
            ("c: 1=a 2=b", &[]),
            ("c: 1=a 3=b 4=d", &["!b.", "+d."]),
            ("c: 4=d", &["-a.", "-b."]),
            ("c: 4=d 1=a", &["+a."]),
            ("c:", &["-a.", "-d."]),
        ]);
    }

    #[test]
    fn a_zone_belongs_to_who_lists_it_first() {
        check(&[
            ("c: 1=a", &["+a."]),
            ("d: 2=a 3=b", &["a.?c.", "+b."]),
            ("d: 2=a 3=b 4=e", &["+e."]),
            ("c:", &["a.>d."]),
            ("d: 3=b 4=e", &["-a."]),
        ]);
        // Twice in one catalog.
        check(&[("c: 1=a 2=a", &["+a."]), ("c: 0=a 1=a", &[]), ("c: 0=a", &["!a."])]);
    }

    #[test]
    fn a_zone_is_handed_over_by_its_catalog_alone() {
        // First who hands over, then who takes.
        check(&[("c: 1=a>d", &["+a."]), ("d: 1=a", &["a.>d."]), ("c:", &[]), ("d: 1=a", &[])]);
        // The other way round.
        check(&[("c: 1=a", &["+a."]), ("d: 1=a", &["a.?c."]), ("c: 1=a>d", &["a.>d."]), ("c: 1=a>d", &[])]);
        // Only who takes says so, or a third is named.
        check(&[("c: 1=a>e", &["+a."]), ("d: 2=a>d", &["a.?c."])]);
        // To itself, or to nobody.
        check(&[("c: 1=a>c 2=b>x", &["+a.", "+b."]), ("c: 1=a>c 2=b>x", &[])]);
    }

    #[test]
    fn what_is_handed_over_with_its_label_keeps_its_state() {
        let member = |label: &str, owner| Member { zone: wire("a"), label: label.into(), owner };
        for (label, expect) in [("1", true), ("2", false)] {
            let mut catalogs = Catalogs::default();
            catalogs.update(&wire("c"), vec![member("1", Some(wire("d")))]);
            let before = catalogs.zones().next().map(|(_, owned)| owned.incarnation);
            catalogs.update(&wire("d"), vec![member(label, None)]);
            let (_, owned) = catalogs.zones().next().unwrap();
            assert_eq!((&owned.catalog, Some(owned.incarnation) == before), (&wire("d"), expect));
        }
    }
}
