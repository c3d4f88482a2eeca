//! Finds `+ - * /` on what looks like money. jq reckons in floats; the `dec_` functions do not.

use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::Part;

use crate::Warning;
use crate::guard::{Tree, literal, range};

const NAMES: &[&str] = &[
    "amount",
    "balance",
    "cost",
    "discount",
    "discount_total",
    "due",
    "fee",
    "grand_total",
    "paid",
    "price",
    "shipping_total",
    "subtotal",
    "tax",
    "tax_total",
    "total",
    "total_price",
    "total_spent",
    "unit_price",
];

pub(crate) fn warnings(source: &str, tree: &Tree<'_>) -> Vec<Warning> {
    let mut found = Finder {
        source,
        warnings: Vec::new(),
    };
    found.walk(tree, None);
    found.warnings
}

struct Finder<'s> {
    source: &'s str,
    warnings: Vec<Warning>,
}

impl<'s> Finder<'s> {
    /// `dot`: the money-like name whose value `.` is here.
    fn walk(&mut self, term: &Tree<'s>, dot: Option<&'s str>) {
        match term {
            Term::BinOp(left, op, right) => self.operation(left, op, right, dot),
            Term::Str(_, parts) => {
                for part in parts {
                    if let jaq_core::load::lex::StrPart::Term(term) = part {
                        self.walk(term, dot);
                    }
                }
            }
            Term::Arr(Some(inner)) | Term::Neg(inner) | Term::TryCatch(inner, None) => self.walk(inner, dot),
            Term::TryCatch(inner, Some(catch)) => {
                self.walk(inner, dot);
                self.walk(catch, None);
            }
            Term::Obj(fields) => fields.iter().for_each(|(key, value)| {
                self.walk(key, dot);
                value.iter().for_each(|value| self.walk(value, dot));
            }),
            Term::Fold(_, list, _, args) => {
                self.walk(list, dot);
                args.iter().for_each(|arg| self.walk(arg, None));
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.walk(condition, dot);
                    self.walk(then, dot);
                }
                otherwise.iter().for_each(|otherwise| self.walk(otherwise, dot));
            }
            Term::Call(name, args) => self.call(name, args, dot),
            Term::Path(start, _) => self.walk(start, dot),
            _ => {}
        }
    }

    fn call(&mut self, name: &'s str, args: &[Tree<'s>], dot: Option<&'s str>) {
        let summed = match (name, args) {
            ("add", []) => dot,
            ("add", [list]) => money(list, dot),
            _ => None,
        };
        if let Some(summed) = summed {
            self.warn(summed, "add", "`dec_sum` (on an array) adds exactly");
        }
        let inner = matches!(name, "map" | "map_values" | "select").then_some(dot).flatten();
        args.iter().for_each(|arg| self.walk(arg, inner));
    }

    fn operation(&mut self, left: &Tree<'s>, op: &BinaryOp<&'s str>, right: &Tree<'s>, dot: Option<&'s str>) {
        self.walk(left, dot);
        if let BinaryOp::Pipe(None) = op {
            return self.walk(right, money(left, dot));
        }
        self.walk(right, dot);
        let (BinaryOp::Math(math) | BinaryOp::UpdateMath(math)) = op else {
            return;
        };
        let hint = match math.as_str() {
            "+" => "`dec_add(a; b)` adds exactly",
            "-" => "`dec_sub(a; b)` subtracts exactly",
            "*" => "`dec_mul(a; b)` multiplies exactly, `dec_round(2)` rounds",
            "/" => "`dec_div(a; b)` divides in decimals, `dec_round(2)` rounds",
            _ => return,
        };
        if let Some(name) = money(left, dot).or_else(|| money(right, dot)) {
            self.warn(name, math.as_str(), hint);
        }
    }

    fn warn(&mut self, name: &'s str, op: &str, hint: &str) {
        let at = range(self.source, name);
        if self.warnings.iter().all(|warning| warning.at != at) {
            self.warnings.push(Warning {
                message: format!(
                    "`{op}` on `{name}`, which looks like money, reckons in floats and may be off by a hair"
                ),
                at,
                hint: Some(hint.to_owned()),
            });
        }
    }
}

/// The money-like name that a term's value comes from.
fn money<'s>(term: &Tree<'s>, dot: Option<&'s str>) -> Option<&'s str> {
    match term {
        Term::Id => dot,
        Term::Path(start, parts) => {
            let named = parts.0.iter().rev().find_map(|(part, _)| match part {
                Part::Index(index) => literal(index).and(text_of(index)),
                Part::Range(..) => None,
            });
            match named {
                Some(name) => NAMES.contains(&name).then_some(name),
                None => money(start, dot),
            }
        }
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::TryCatch(inner, _) => money(inner, dot),
        Term::BinOp(left, BinaryOp::Pipe(None), right) => money(right, money(left, dot)),
        Term::BinOp(_, BinaryOp::Pipe(Some(_)), right) => money(right, dot),
        Term::BinOp(left, BinaryOp::Alt | BinaryOp::Math(_) | BinaryOp::Comma, right) => {
            money(left, dot).or_else(|| money(right, dot))
        }
        Term::IfThenElse(branches, otherwise) => {
            let then = branches.iter().find_map(|(_, then)| money(then, dot));
            then.or_else(|| otherwise.as_deref().and_then(|otherwise| money(otherwise, dot)))
        }
        Term::Call("tonumber" | "abs" | "floor" | "ceil" | "round" | "add" | "first" | "last", args)
            if args.is_empty() =>
        {
            dot
        }
        Term::Call("map", args) => args.first().and_then(|inner| money(inner, dot)),
        _ => None,
    }
}

fn text_of<'s>(term: &Tree<'s>) -> Option<&'s str> {
    match term {
        Term::Str(None, parts) => match parts.as_slice() {
            [jaq_core::load::lex::StrPart::Str(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}
