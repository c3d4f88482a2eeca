//! What a filter names besides its record: tables and what `$refs` has. A name that is none is refused here, or it
//! would be null for every record.

use contract::settings::nearest;

use crate::guard::{Checked, Guard, Tree, literal};

impl<'s> Guard<'s, '_> {
    /// What stands behind `$refs.`
    pub(crate) fn reference(&self, refs: &'s str, index: &Tree<'s>) -> Checked {
        let Some(name) = literal(index).filter(|name| !self.env.refs.contains(name)) else {
            return Ok(());
        };
        let known = self.env.refs.iter().map(String::as_str);
        let hint = match nearest(&name, known.clone()) {
            Some(near) => format!("did you mean `$refs.{near}`?"),
            None => format!("`requires` names: {}", known.collect::<Vec<_>>().join(", ")),
        };
        let message = format!("`$refs` has no `{}`", crate::val::excerpt(&name, 40));
        self.error(refs, message, Some(hint))
    }

    pub(crate) fn table(&self, name: &'s str, args: &[Tree<'s>]) -> Checked {
        let Some(table) = args.first().and_then(literal).filter(|_| name == "lookup") else {
            return Ok(());
        };
        if self.env.tables.contains_key(&table) {
            return Ok(());
        }
        let hint = match nearest(&table, self.env.tables.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.env.tables.is_empty() => "there are no `tables` in the config".to_owned(),
            None => {
                let known: Vec<&str> = self.env.tables.keys().map(String::as_str).collect();
                format!("known tables: {}", known.join(", "))
            }
        };
        self.error(
            name,
            format!("there is no table `{}`", crate::val::excerpt(&table, 40)),
            Some(hint),
        )
    }
}
