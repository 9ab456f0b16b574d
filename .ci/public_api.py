"""Prints the public API, an item a line, of the rustdoc JSON file that it is given: what public-api.txt holds.

First the types and traits of other crates that it names: a new major version of such a crate is one of ours. Then each item at
its longest path, and `pub use` lines for its other paths. Blanket impls are left out: they follow from what is here.

cargo-public-api prints much the same, and takes longer to build than all checks of this project together; this needs only
Python and a nightly rustdoc. It fails where rustdoc's format has changed under it.
"""

import json
import sys

STANDARD = {"std", "core", "alloc"}
AUTO = ["Send", "Sync", "Unpin"]


class Api:
    def __init__(self, data):
        self.index = data["index"]
        self.summaries = data["paths"]
        self.crates = {int(id): crate["name"] for id, crate in data["external_crates"].items()}
        self.foreign = set()
        self.lines = []
        # The path of each item, and its other ones.
        self.paths, self.aliases = {}, []
        self.find(data["root"], [], set())

    def find(self, id, path, above):
        """Gathers what is reachable from outside, through private modules as well."""
        item = self.index[str(id)]
        kind, inner = only(item["inner"])
        if kind == "use":
            target = self.index.get(str(inner["id"]))
            assert target, f"{inner['source']} is another crate's: not handled"
            if inner["is_glob"]:
                for child in only(target["inner"])[1]["items"]:
                    self.find(child, path, above)
            else:
                self.put(inner["id"], path + [inner["name"]], above)
        elif item["visibility"] == "public":
            self.put(id, path + [item["name"]], above)

    def put(self, id, path, above):
        known = self.paths.get(id)
        if known is None or (len(known), path) < (len(path), known):
            self.paths[id], path = path, known
        if path is not None:
            self.aliases.append((path, id))
            return
        kind, inner = only(self.index[str(id)]["inner"])
        if kind == "module" and id not in above:
            for child in inner["items"]:
                self.find(child, self.paths[id], above | {id})

    def list(self):
        for id, path in self.paths.items():
            self.item(id, "::".join(path))
        for path, id in self.aliases:
            self.say(f"pub use {'::'.join(path)} = {'::'.join(self.paths[id])}")
        return sorted(self.foreign), sorted(set(self.lines))

    def say(self, line, item=None):
        flags = item["attrs"] if item else []
        non_exhaustive = " (non-exhaustive)" if "non_exhaustive" in flags else ""
        self.lines.append(line + non_exhaustive)

    def item(self, id, path):
        item = self.index[str(id)]
        kind, inner = only(item["inner"])
        if kind == "module":
            self.say(f"mod {path}")
        elif kind == "function":
            self.say(self.function(path, inner), item)
        elif kind in ("constant", "assoc_const"):
            self.say(f"const {path}: {self.type(inner['type'])}")
        elif kind == "type_alias":
            self.say(f"type {path}{self.generics(inner)} = {self.type(inner['type'])}")
        elif kind == "struct":
            self.say(f"struct {path}{self.generics(inner)}{self.fields(path, inner['kind'])}{self.where(inner)}", item)
            self.impls(path, inner["impls"])
        elif kind == "enum":
            assert not inner["has_stripped_variants"]
            self.say(f"enum {path}{self.generics(inner)}{self.where(inner)}", item)
            for id in inner["variants"]:
                variant = self.index[str(id)]
                name = f"{path}::{variant['name']}"
                self.say(f"variant {name}{self.fields(name, variant['inner']['variant']['kind'])}", variant)
            self.impls(path, inner["impls"])
        elif kind == "trait":
            safety = "unsafe " if inner["is_unsafe"] else ""
            bounds = f": {self.bounds(inner['bounds'])}" if inner["bounds"] else ""
            dynamic = " (dyn)" if inner["is_dyn_compatible"] else ""
            self.say(f"{safety}trait {path}{self.generics(inner)}{bounds}{self.where(inner)}{dynamic}")
            for id in inner["items"]:
                self.member(path, self.index[str(id)], "of trait")
            for id in inner["implementations"]:
                impl = self.index[str(id)]["inner"]["impl"]
                if "resolved_path" not in impl["for"] or impl["for"]["resolved_path"]["id"] not in self.paths:
                    self.impl(impl)
        else:
            raise NotImplementedError(kind)

    def fields(self, path, kind):
        """Those of a tuple, and whether there are hidden ones; named ones have lines of their own."""
        if isinstance(kind, str):
            return ""
        kind, fields = only(kind)
        if kind == "tuple":
            field = lambda id: "_" if id is None else self.type(self.index[str(id)]["inner"]["struct_field"])
            return f"({', '.join(map(field, fields))})"
        for id in fields["fields"]:
            field = self.index[str(id)]
            self.say(f"field {path}.{field['name']}: {self.type(field['inner']['struct_field'])}")
        return " { .. }" if fields["has_stripped_fields"] else " {}"

    def impls(self, path, ids):
        auto = {}
        for id in ids:
            impl = self.index[str(id)]["inner"]["impl"]
            if impl["blanket_impl"]:
                continue
            if impl["is_synthetic"]:
                sign = "!" if impl["is_negative"] else ""
                auto[impl["trait"]["path"]] = f"{sign}{impl['trait']['path']}{self.where(impl)}"
            elif impl["trait"] and impl["trait"]["path"] == "Unpin":
                auto["Unpin"] = "Unpin where its pinned fields are"  # pin-project-lite's, which goes by hidden types
            elif impl["trait"]:
                self.impl(impl)
            else:
                for id in impl["items"]:
                    if self.index[str(id)]["visibility"] == "public":
                        self.member(path, self.index[str(id)], self.where(impl).strip())
        self.say(f"auto {path}: " + ", ".join(auto[name] for name in AUTO if name in auto))

    def impl(self, impl):
        head = f"impl{self.generics(impl)} {self.path(impl['trait'])} for {self.type(impl['for'])}"
        self.say(head + self.where(impl))
        for id in impl["items"]:
            kind, inner = only(self.index[str(id)]["inner"])
            if kind == "assoc_type":
                self.say(f"{head} :: {self.index[str(id)]['name']} = {self.type(inner['type'])}")

    def member(self, path, item, note):
        kind, inner = only(item["inner"])
        name, note = f"{path}::{item['name']}", f" ({note})" if note else ""
        if kind == "function":
            default = " (provided)" if "of trait" in note and inner["has_body"] else ""
            self.say(self.function(name, inner) + note + default)
        elif kind == "assoc_const":
            self.say(f"const {name}: {self.type(inner['type'])}{note}")
        elif kind == "assoc_type":
            self.say(f"type {name}: {self.bounds(inner['bounds'])}{note}")
        else:
            raise NotImplementedError(kind)

    def function(self, name, function):
        header, sig = function["header"], function["sig"]
        words = [word for word in ("const", "async", "unsafe") if header[f"is_{word}"]]
        inputs = ", ".join(f"{name}: {self.type(type)}" for name, type in sig["inputs"])
        output = f" -> {self.type(sig['output'])}" if sig["output"] else ""
        return f"{' '.join(words + ['fn'])} {name}{self.generics(function)}({inputs}){output}{self.where(function)}"

    def generics(self, owner):
        params = [self.param(param) for param in owner["generics"]["params"]]
        params = [param for param in params if param]
        return f"<{', '.join(params)}>" if params else ""

    def param(self, param):
        kind, inner = only(param["kind"])
        if kind == "type":
            bounds = f": {self.bounds(inner['bounds'])}" if inner["bounds"] else ""
            default = f" = {self.type(inner['default'])}" if inner["default"] else ""
            return None if inner["is_synthetic"] else param["name"] + bounds + default
        if kind == "lifetime":
            return ": ".join(filter(None, [param["name"], " + ".join(inner["outlives"])]))
        return f"const {param['name']}: {self.type(inner['type'])}"

    def where(self, owner):
        predicates = []
        for predicate in owner["generics"]["where_predicates"]:
            kind, inner = only(predicate)
            if kind == "bound_predicate":
                predicates.append(f"{self.type(inner['type'])}: {self.bounds(inner['bounds'])}")
            elif kind == "lifetime_predicate":
                predicates.append(f"{inner['lifetime']}: {' + '.join(inner['outlives'])}")
            else:
                raise NotImplementedError(kind)
        return f" where {', '.join(predicates)}" if predicates else ""

    def bounds(self, bounds):
        return " + ".join(map(self.bound, bounds))

    def bound(self, bound):
        kind, inner = only(bound)
        if kind == "outlives":
            return inner
        assert kind == "trait_bound", kind
        modifier = {"none": "", "maybe": "?"}[inner["modifier"]]
        return modifier + self.higher(inner["generic_params"]) + self.path(inner["trait"])

    def higher(self, params):
        return f"for<{', '.join(map(self.param, params))}> " if params else ""

    def path(self, path):
        """With its arguments, by the name that users write where it is ours."""
        ours = self.paths.get(path["id"])
        if ours:
            name = "::".join(ours)
        else:
            summary = self.summaries[str(path["id"])]
            name = "::".join(summary["path"])
            crate = self.crates.get(summary["crate_id"], "")
            if crate and crate not in STANDARD:
                self.foreign.add(name)
        return name + self.arguments(path["args"])

    def arguments(self, args):
        if not args:
            return ""
        kind, inner = only(args)
        if kind == "parenthesized":
            output = f" -> {self.type(inner['output'])}" if inner["output"] else ""
            return f"({', '.join(map(self.type, inner['inputs']))}){output}"
        words = [self.argument(arg) for arg in inner["args"]]
        for constraint in inner["constraints"]:
            kind, binding = only(constraint["binding"])
            if kind == "equality":
                words.append(f"{constraint['name']} = {self.type(binding['type'])}")
            else:
                words.append(f"{constraint['name']}: {self.bounds(binding)}")
        return f"<{', '.join(words)}>" if words else ""

    def argument(self, arg):
        kind, inner = only(arg)
        return {"type": self.type, "lifetime": str, "const": lambda it: it["expr"]}[kind](inner)

    def type(self, type):
        kind, inner = only(type)
        lifetime = lambda it: f"{it['lifetime']} " if it["lifetime"] else ""
        mutable = lambda it: "mut " if it["is_mutable"] else ""
        if kind == "resolved_path":
            return self.path(inner)
        if kind in ("generic", "primitive"):
            return inner
        if kind == "tuple":
            return f"({', '.join(map(self.type, inner))})"
        if kind == "slice":
            return f"[{self.type(inner)}]"
        if kind == "array":
            return f"[{self.type(inner['type'])}; {inner['len']}]"
        if kind == "impl_trait":
            return f"impl {self.bounds(inner)}"
        if kind == "dyn_trait":
            traits = [self.higher(it["generic_params"]) + self.path(it["trait"]) for it in inner["traits"]]
            return "dyn " + " + ".join(traits + list(filter(None, [inner["lifetime"]])))
        if kind == "borrowed_ref":
            return f"&{lifetime(inner)}{mutable(inner)}{self.type(inner['type'])}"
        if kind == "function_pointer":
            return self.function("", inner)
        if kind == "qualified_path":
            trait = f" as {self.path(inner['trait'])}" if inner["trait"] else ""
            return f"<{self.type(inner['self_type'])}{trait}>::{inner['name']}{self.arguments(inner['args'])}"
        raise NotImplementedError(kind)


def only(tagged):
    """The tag and the value of what has one of several shapes."""
    [(tag, value)] = tagged.items()
    return tag, value


def main():
    with open(sys.argv[1]) as file:
        foreign, lines = Api(json.load(file)).list()
    print("# The public API with all features. Made by `UPDATE=1 .ci/run api`; the same step holds the code against it.")
    print("\n## Of other crates\n", *foreign, sep="\n")
    print("\n## Ours\n", *lines, sep="\n")


main()
