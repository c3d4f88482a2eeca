//! Ties the resources that flows require to the flows that deliver them. It finds exactly one for each, or says
//! what to do about it.

use contract::settings::{Reader, nearest};

use super::Mode;
use super::flows::{Feed, Flow};
use super::sections::Connectors;
use crate::mapping::Reference;

/// The flow that delivers what another one requires, and its two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub flow: String,
    pub from: Feed,
    pub to: Feed,
}

/// What is wrong with a reference, and what to do.
type Wrong = (String, Option<String>);

pub(super) fn tie(file: &mut Reader<'_>, flows: &mut [Flow], mode: Mode, connectors: &Connectors) {
    let mut problems = Vec::new();
    for at in 0..flows.len() {
        let mapping = flows[at].mapping.clone();
        for reference in mapping.requires() {
            match provider(&flows[at], reference, flows, connectors) {
                Ok(provider) => flows[at].requires.push(provider),
                Err(wrong) => problems.push((reference.span, reference.path.clone(), wrong)),
            }
        }
    }
    if problems.is_empty()
        && let Some((at, circle)) = circle(flows)
        && let Some(reference) = flows[at].mapping.requires().first()
    {
        let message = format!("these flows require each other: {}", circle.join(", "));
        let hint = Some("take one of them out of `requires`".to_owned());
        problems.push((reference.span, reference.path.clone(), (message, hint)));
    }
    // To look at the state no flow has to be able to run.
    if mode == Mode::Full {
        for (span, path, (message, hint)) in problems.iter().cloned() {
            file.problem_on(span, path, message, hint);
        }
    }
    if problems.is_empty() {
        order(flows);
    }
}

fn provider(flow: &Flow, reference: &Reference, flows: &[Flow], connectors: &Connectors) -> Result<Provider, Wrong> {
    let target = &flow.to.connector;
    if connectors
        .ready
        .get(target)
        .is_some_and(|target| !target.takes_records())
    {
        let message = format!("`requires` is for targets that take records one by one, and `{target}` does not");
        return Err((message, Some("remove `requires`".to_owned())));
    }
    let from = Feed {
        connector: flow.from.connector.clone(),
        resource: reference.resource.clone(),
    };
    if let Some(source) = connectors.ready.get(&from.connector)
        && !source.sources().contains(&from.resource)
    {
        let known = source.sources();
        let message = format!("`{}` has no resource `{}`", from.connector, from.resource);
        let hint = match nearest(&from.resource, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("of `{}`, these can be read: {}", from.connector, known.join(", ")),
        };
        return Err((message, Some(hint)));
    }
    let fits = |known: &&Flow| known.from == from && known.to.connector == *target;
    let fitting: Vec<&Flow> = flows.iter().filter(fits).collect();
    let others: Vec<&Flow> = fitting
        .iter()
        .copied()
        .filter(|known| known.name != flow.name)
        .collect();
    let names = || others.iter().map(|known| known.name.as_str());
    let found = match &reference.flow {
        Some(name) if *name == flow.name => return Err(itself(&flow.name)),
        Some(name) => others.iter().find(|known| known.name == *name).ok_or_else(|| {
            let message = format!("the flow `{name}` does not bring {from} to `{target}`");
            let hint = match others.is_empty() {
                true => format!("add a flow with `from: {from}` and a resource of `{target}` as its `to`"),
                false => format!("these do: {}", names().collect::<Vec<_>>().join(", ")),
            };
            (message, Some(hint))
        })?,
        None => match others.as_slice() {
            [one] => one,
            [] if !fitting.is_empty() => return Err(itself(&flow.name)),
            [] => {
                let message = format!("no flow brings {from} to `{target}`");
                let hint = format!(
                    "add a flow with `from: {from}` and a resource of `{target}` as its `to`, or take `{}` out of `requires`",
                    from.resource
                );
                return Err((message, Some(hint)));
            }
            [first, ..] => {
                let all = names().collect::<Vec<_>>().join(", ");
                let message = format!("several flows bring {from} to `{target}`: {all}");
                let hint = format!(
                    "name one: `requires: {{{}: {{key: '{}', flow: {}}}}}`",
                    from.resource,
                    reference.filter(),
                    first.name
                );
                return Err((message, Some(hint)));
            }
        },
    };
    Ok(Provider {
        flow: found.name.clone(),
        from,
        to: found.to.clone(),
    })
}

fn itself(flow: &str) -> Wrong {
    let message = format!("the flow `{flow}` requires its own records");
    (message, Some("take it out of `requires`".to_owned()))
}

/// The first flow that requires itself by way of others, and the names of all on that way.
fn circle(flows: &[Flow]) -> Option<(usize, Vec<String>)> {
    let at = (0..flows.len()).find(|at| required(flows, &flows[*at].name).contains(&flows[*at].name))?;
    let name = &flows[at].name;
    let ahead = required(flows, name);
    let on_it = |other: &&Flow| ahead.contains(&other.name) && required(flows, &other.name).contains(name);
    Some((at, flows.iter().filter(on_it).map(|flow| flow.name.clone()).collect()))
}

/// The names of all flows that a flow requires, by way of others too; each once.
pub(super) fn required(flows: &[Flow], name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut next = vec![name.to_owned()];
    while let Some(name) = next.pop() {
        let flow = flows.iter().find(|flow| flow.name == name);
        for provider in flow.iter().flat_map(|flow| &flow.requires) {
            if !found.contains(&provider.flow) {
                found.push(provider.flow.clone());
                next.push(provider.flow.clone());
            }
        }
    }
    found
}

/// Tells each flow who waits for it, and how many others come before it. One that others wait for runs where
/// they do.
fn order(flows: &mut [Flow]) {
    for at in 0..flows.len() {
        let before = required(flows, &flows[at].name);
        flows[at].depth = before.len();
        let (from, by_itself) = (flows[at].from.clone(), flows[at].runs_by_itself());
        for flow in flows.iter_mut().filter(|flow| before.contains(&flow.name)) {
            flow.serves |= by_itself;
            if !flow.required_by.contains(&from) {
                flow.required_by.push(from.clone());
            }
        }
    }
}
