"""Parsing of declarations: types, externs, parsers, controls, actions and tables."""

from __future__ import annotations

from p4compiler.diagnostics import Kind, Note, closest, did_you_mean
from p4compiler.syntax import ast
from p4compiler.syntax.cursor import NAME_KINDS, TOP_KEYWORDS, VALUE_NAME_KINDS, SyntaxAbort
from p4compiler.syntax.statements import StatementParser
from p4compiler.syntax.tokens import END, NAME

Annotations = tuple[ast.Annotation, ...]


class DeclarationParser(StatementParser):
    def program(self) -> list[ast.Declaration]:
        """All declarations up to the end of the program."""
        declarations: list[ast.Declaration] = []
        while self.kinds[self.at] != END and not self.diagnostics.full:
            first = self.at
            try:
                self.top_level(declarations)
            except SyntaxAbort:
                self.depth = 0
                del self.scopes[1:]
                self.recover(first, inside=False)
        return declarations

    def top_level(self, declarations: list[ast.Declaration]) -> None:
        if self.accept(";"):
            return
        first = self.at
        annotations = self.annotations()
        kind = self.kinds[self.at]
        match kind:
            case "const":
                declarations.append(self.constant(annotations))
            case "struct" | "header" | "header_union":
                declarations.append(self.struct_like(annotations, first))
            case "typedef":
                self.typedef(annotations, declarations)
            case "type" if self.skip_type(self.at + 1) > 0 and self.kinds[self.at + 1] not in ("(", "="):
                self.typedef(annotations, declarations)
            case "enum":
                declarations.append(self.enum(annotations))
            case "error" if self.kinds[self.at + 1] == "{":
                self.at += 1
                name = ast.Name(self.tokens.span(self.at - 1), kind)
                members = self.members()
                declarations.append(ast.ErrorDeclaration(self.span_from(first), annotations, name, members))
            case "match_kind" if self.kinds[self.at + 1] == "{":
                self.at += 1
                name = ast.Name(self.tokens.span(self.at - 1), kind)
                members = self.members()
                declarations.append(ast.MatchKindDeclaration(self.span_from(first), annotations, name, members))
            case "extern":
                declaration = self.extern(annotations)
                if declaration is not None:
                    declarations.append(declaration)
            case "parser":
                declarations.append(self.parser(annotations, first))
            case "control":
                declarations.append(self.control(annotations, first))
            case "package":
                declarations.append(self.package(annotations, first))
            case "action":
                declarations.append(self.action(annotations, first))
            case _:
                declarations.append(self.function_or_instantiation(annotations, first))

    def function_or_instantiation(self, annotations: Annotations, first: int) -> ast.Declaration:
        kinds = self.kinds
        behind = self.skip_type(self.at)
        if behind < 0:
            self.fail_expected("a declaration")
        if kinds[behind] == "(":
            return self.instantiation(annotations, self.at)
        if kinds[behind] in NAME_KINDS and kinds[behind + 1] in ("(", "<"):
            return self.function(annotations, first)
        if kinds[behind] in NAME_KINDS and kinds[behind + 1] in ("=", ";"):
            self.fail("a variable cannot be declared here; a constant can, with 'const'", self.at)
        return self.fail_expected("a declaration")

    # -- types

    def struct_like(
        self, annotations: Annotations, first: int
    ) -> ast.StructDeclaration | ast.HeaderDeclaration | ast.HeaderUnionDeclaration:
        kind = self.kinds[self.at]
        self.at += 1
        name = self.expect_name(f"the {kind.replace('_', ' ')}'s name")
        self.declare_type(name.text)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        self.expect("{")
        fields = []
        while self.kinds[self.at] not in ("}", END):
            if self.diagnostics.full:
                raise SyntaxAbort
            field_first = self.at
            try:
                fields.append(self.field())
            except SyntaxAbort:
                self.recover(field_first, inside=True)
        self.scopes.pop()
        self.expect("}")
        arguments = (self.span_from(first), annotations, name, type_parameters, tuple(fields))
        if kind == "struct":
            return ast.StructDeclaration(*arguments)
        if kind == "header":
            return ast.HeaderDeclaration(*arguments)
        return ast.HeaderUnionDeclaration(*arguments)

    def field(self) -> ast.Field:
        first = self.at
        annotations = self.annotations()
        type_first = self.at
        type_ref = self.type_ref()
        name = self.expect_name("the field's name")
        type_ref = self.array_suffix(type_ref, type_first)
        self.expect(";")
        return ast.Field(self.span_from(first), annotations, name, type_ref)

    def typedef(self, annotations: Annotations, declarations: list[ast.Declaration]) -> None:
        """`typedef T name;` and `type T name;`. A struct declared inside comes out as a declaration before it."""
        first = self.at
        distinct = self.kinds[first] == "type"
        self.at += 1
        inner_annotations = self.annotations()
        type_first = self.at
        inner: ast.Declaration | None = None
        if not distinct and self.kinds[self.at] in ("struct", "header", "header_union"):
            inner = self.struct_like(inner_annotations, self.at)
        elif not distinct and self.kinds[self.at] == "enum":
            inner = self.enum(inner_annotations)
        if inner is not None:
            declarations.append(inner)
            type_ref: ast.TypeRef = ast.NamedTypeRef(inner.name.span, inner.name.text)
        else:
            type_ref = self.type_ref()
        name = self.expect_name("the new type's name")
        type_ref = self.array_suffix(type_ref, type_first)
        self.declare_type(name.text)
        self.expect(";")
        declarations.append(ast.Typedef(self.span_from(first), annotations, name, type_ref, distinct))

    def enum(self, annotations: Annotations) -> ast.EnumDeclaration:
        first = self.expect("enum")
        underlying = None
        if not (self.kinds[self.at] in NAME_KINDS and self.kinds[self.at + 1] == "{"):
            underlying = self.type_ref()
        name = self.expect_name("the enum's name")
        self.declare_type(name.text)
        self.expect("{")
        members = []
        while True:
            member_first = self.at
            member_annotations = self.annotations()
            member = self.expect_name("a member's name")
            value = None
            if underlying is not None:
                self.expect("=", f"(a value for '{member.text}')")
                value = self.expression()
            members.append(ast.EnumMember(self.span_from(member_first), member_annotations, member, value))
            if not self.accept(",") or self.kinds[self.at] == "}":
                break
        self.expect("}")
        return ast.EnumDeclaration(self.span_from(first), annotations, name, underlying, tuple(members))

    def members(self) -> tuple[ast.Name, ...]:
        """`{ A, B }` of an error or match_kind declaration."""
        self.expect("{")
        members = []
        while self.kinds[self.at] != "}":
            members.append(self.expect_name("a member's name"))
            if not self.accept(","):
                break
        self.expect("}")
        return tuple(members)

    # -- externs, packages

    def extern(self, annotations: Annotations) -> ast.Declaration | None:
        """An extern object or function; None for a forward declaration `extern X;`, which only makes the name a type."""
        first = self.expect("extern")
        kinds = self.kinds
        at = self.at
        if kinds[at] in NAME_KINDS:
            behind = at + 1
            if kinds[behind] == "<":
                behind = self.skip_angles(behind)
            if kinds[behind] == "{":
                return self.extern_object(annotations, first)
            if kinds[at + 1] == ";":
                self.declare_type(self.texts[at])
                self.at = at + 2
                return None
        prototype = self.function_prototype((), self.at)
        self.scopes.pop()
        self.expect(";")
        return ast.ExternFunction(self.span_from(first), annotations, prototype.name, prototype)

    def extern_object(self, annotations: Annotations, first: int) -> ast.ExternDeclaration:
        name = self.expect_name("the extern's name")
        self.declare_type(name.text)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        self.expect("{")
        constructors: list[ast.FunctionPrototype] = []
        methods: list[ast.FunctionPrototype] = []
        while self.kinds[self.at] not in ("}", END):
            method_first = self.at
            scopes = len(self.scopes)
            try:
                self.method(name, constructors, methods)
            except SyntaxAbort:
                del self.scopes[scopes:]
                self.recover(method_first, inside=True)
        self.scopes.pop()
        self.expect("}")
        return ast.ExternDeclaration(
            self.span_from(first), annotations, name, type_parameters, tuple(constructors), tuple(methods)
        )

    def method(
        self, extern: ast.Name, constructors: list[ast.FunctionPrototype], methods: list[ast.FunctionPrototype]
    ) -> None:
        first = self.at
        annotations = self.annotations()
        if self.kinds[self.at] in VALUE_NAME_KINDS and self.kinds[self.at + 1] == "(":
            name = self.expect_name()
            if name.text != extern.text:
                self.fail(
                    f"a constructor must be called like its extern, '{extern.text}'; a method needs a return type",
                    self.at - 1,
                )
            self.scopes.append({})
            parameters = self.parameters()
            self.scopes.pop()
            self.expect(";")
            return_type = ast.NamedTypeRef(name.span, name.text)
            constructors.append(
                ast.FunctionPrototype(self.span_from(first), annotations, name, return_type, (), parameters)
            )
            return
        is_abstract = self.accept("abstract")
        methods.append(self.function_prototype(annotations, first, is_abstract))
        self.scopes.pop()
        self.expect(";")

    def package(self, annotations: Annotations, first: int) -> ast.PackageTypeDeclaration:
        self.expect("package")
        name = self.expect_name("the package's name")
        self.declare_type(name.text)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        self.scopes.pop()
        self.expect(";")
        return ast.PackageTypeDeclaration(self.span_from(first), annotations, name, type_parameters, parameters)

    # -- parsers

    def parser(self, annotations: Annotations, first: int) -> ast.Parser | ast.ParserTypeDeclaration:
        self.expect("parser")
        name = self.expect_name("the parser's name")
        self.declare_type(name.text)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        if self.accept(";"):
            self.scopes.pop()
            return ast.ParserTypeDeclaration(self.span_from(first), annotations, name, type_parameters, parameters)
        constructor_parameters = self.parameters() if self.kinds[self.at] == "(" else ()
        self.expect("{")
        local_declarations: list[ast.Declaration] = []
        states: list[ast.ParserState] = []
        while self.kinds[self.at] not in ("}", END):
            if self.diagnostics.full:
                raise SyntaxAbort
            element_first = self.at
            scopes = len(self.scopes)
            try:
                self.parser_element(local_declarations, states)
            except SyntaxAbort:
                del self.scopes[scopes:]
                self.recover(element_first, inside=True)
        self.scopes.pop()
        self.expect("}")
        return ast.Parser(
            self.span_from(first),
            annotations,
            name,
            type_parameters,
            parameters,
            constructor_parameters,
            tuple(local_declarations),
            tuple(states),
        )

    def parser_element(self, local_declarations: list[ast.Declaration], states: list[ast.ParserState]) -> None:
        first = self.at
        annotations = self.annotations()
        kind = self.kinds[self.at]
        if kind == "state" and self.kinds[self.at + 1] in NAME_KINDS and self.kinds[self.at + 2] == "{":
            states.append(self.parser_state(annotations, first))
            return
        if states:
            self.fail_expected("a state")
        if kind == "const":
            local_declarations.append(self.constant(annotations))
        elif kind == "value_set":
            local_declarations.append(self.value_set(annotations, first))
        else:
            declared = self.declaration_here(annotations)
            if declared is None:
                self.fail_expected("a state or a declaration")
            local_declarations.append(declared)

    def value_set(self, annotations: Annotations, first: int) -> ast.ValueSet:
        self.expect("value_set")
        self.expect("<")
        type_ref = self.type_ref()
        self.expect(">")
        self.expect("(")
        size = self.expression()
        self.expect(")")
        name = self.expect_name("the value set's name")
        self.declare_value(name.text)
        self.expect(";")
        return ast.ValueSet(self.span_from(first), annotations, name, type_ref, size)

    def parser_state(self, annotations: Annotations, first: int) -> ast.ParserState:
        self.expect("state")
        name = self.expect_name("the state's name")
        self.expect("{")
        self.scopes.append({})
        body = self.items()
        transition: ast.Name | ast.Select | None = None
        if self.kinds[self.at] == "transition":
            scopes = len(self.scopes)
            at = self.at
            try:
                transition = self.transition()
            except SyntaxAbort:
                del self.scopes[scopes:]
                self.recover(at, inside=True)
        self.scopes.pop()
        self.expect("}")
        return ast.ParserState(self.span_from(first), annotations, name, tuple(body), transition)

    def transition(self) -> ast.Name | ast.Select:
        self.expect("transition")
        first = self.at
        if self.kinds[first] != "select":
            target = self.expect_name("a state's name")
            self.expect(";")
            return target
        self.at += 1
        self.expect("(")
        keys = []
        while self.kinds[self.at] != ")":
            keys.append(self.expression())
            if not self.accept(","):
                break
        self.expect(")")
        self.expect("{")
        cases = []
        while self.kinds[self.at] not in ("}", END):
            case_first = self.at
            try:
                keyset = self.keyset()
                self.expect(":", "after the set")
                target = self.expect_name("a state's name")
                self.expect(";")
            except SyntaxAbort:
                self.recover(case_first, inside=True)
                continue
            cases.append(ast.SelectCase(self.span_from(case_first), keyset, target))
        self.expect("}")
        return ast.Select(self.span_from(first), tuple(keys), tuple(cases))

    # -- controls

    def control(self, annotations: Annotations, first: int) -> ast.Control | ast.ControlTypeDeclaration:
        self.expect("control")
        name = self.expect_name("the control's name")
        self.declare_type(name.text)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        if self.accept(";"):
            self.scopes.pop()
            return ast.ControlTypeDeclaration(self.span_from(first), annotations, name, type_parameters, parameters)
        constructor_parameters = self.parameters() if self.kinds[self.at] == "(" else ()
        open_brace = self.expect("{")
        local_declarations: list[ast.Declaration] = []
        errors = self.diagnostics.error_count
        while self.kinds[self.at] not in ("}", END) and not self.starts_apply():
            if self.diagnostics.full:
                raise SyntaxAbort
            local_first = self.at
            scopes = len(self.scopes)
            try:
                local_declarations.append(self.control_local())
            except SyntaxAbort:
                del self.scopes[scopes:]
                self.recover(local_first, inside=True)
        if self.kinds[self.at] == "apply":
            self.at += 1
            body = self.block(self.annotations())
        elif self.diagnostics.error_count > errors and self.kinds[self.at] == "}":
            body = ast.Block(self.tokens.span(self.at), (), (), self.tokens.span(self.at))  # it may be what was wrong
        else:
            self.fail_expected("'apply'", f"(the body of control '{name.text}')")
        opened = (Note("to close this", self.tokens.span(open_brace)),)
        if self.kinds[self.at] in TOP_KEYWORDS:
            message = f"expected '}}' (the end of control '{name.text}'), found {self.describe(self.at)}"
            self.diagnostics.error(Kind.SYNTAX_ERROR, message, self.tokens.span(self.at), opened)
        elif self.kinds[self.at] not in ("}", END):
            message = f"nothing can follow the 'apply' block of control '{name.text}'; declarations go before it"
            self.diagnostics.error(Kind.SYNTAX_ERROR, message, self.tokens.span(self.at))
            self.skip_to_closing()
        self.scopes.pop()
        if self.kinds[self.at] not in TOP_KEYWORDS and not self.accept("}"):
            self.fail_expected("'}'", notes=opened)
        return ast.Control(
            self.span_from(first),
            annotations,
            name,
            type_parameters,
            parameters,
            constructor_parameters,
            tuple(local_declarations),
            body,
        )

    def starts_apply(self) -> bool:
        """An `apply` block starts here; also one whose keyword is misspelt, which is reported."""
        if self.kinds[self.at + 1] not in ("{", "@"):
            return False
        if self.kinds[self.at] == NAME and closest(self.texts[self.at], ("apply",)):
            notes = did_you_mean(self.texts[self.at], ("apply",))
            message = f"expected 'apply', found {self.describe(self.at)}"
            self.diagnostics.error(Kind.SYNTAX_ERROR, message, self.tokens.span(self.at), notes)
            self.kinds[self.at] = "apply"
        return self.kinds[self.at] == "apply"

    def control_local(self) -> ast.Declaration:
        first = self.at
        annotations = self.annotations()
        kind = self.kinds[self.at]
        if kind == "const":
            return self.constant(annotations)
        if kind == "action":
            return self.action(annotations, first)
        if kind == "table":
            return self.table(annotations, first)
        declared = self.declaration_here(annotations)
        if declared is None:
            self.fail_expected("a declaration or 'apply'")
        return declared

    def action(self, annotations: Annotations, first: int) -> ast.Action:
        self.expect("action")
        name = self.expect_name("the action's name")
        self.declare_value(name.text)
        self.scopes.append({})
        parameters = self.parameters()
        body = self.block(self.annotations())
        self.scopes.pop()
        return ast.Action(self.span_from(first), annotations, name, parameters, body)

    # -- tables

    def table(self, annotations: Annotations, first: int) -> ast.Table:
        self.expect("table")
        name = self.expect_name("the table's name")
        self.declare_value(name.text)
        self.expect("{")
        keys: list[ast.TableKey] | None = None
        actions: list[ast.ActionReference] = []
        entries: list[ast.TableEntry] | None = None
        entries_const = False
        properties: list[ast.TableProperty] = []
        seen: dict[str, int] = {}
        kinds = self.kinds
        while kinds[self.at] not in ("}", END):
            property_first = self.at
            depth, scopes = self.depth, len(self.scopes)
            try:
                property_annotations = self.annotations()
                is_const = self.accept("const")
                at = self.at
                property_name = self.expect_name("a table property")
                earlier = seen.setdefault(property_name.text, at)
                if earlier != at:
                    notes = (Note("the first one is here", self.tokens.span(earlier)),)
                    self.diagnostics.error(
                        Kind.DUPLICATE,
                        f"table '{name.text}' has property '{property_name.text}' twice",
                        property_name.span,
                        notes,
                    )
                self.expect("=", f"after '{property_name.text}'")
                if kinds[at] in ("key", "actions") and is_const:
                    self.fail(f"'{kinds[at]}' cannot be const", at)
                if kinds[at] == "key":
                    keys = self.table_keys()
                elif kinds[at] == "actions":
                    actions = self.table_actions()
                elif kinds[at] == "entries":
                    entries_const = is_const
                    entries = self.table_entries()
                else:
                    value = self.expression()
                    self.expect(";")
                    properties.append(
                        ast.TableProperty(
                            self.span_from(property_first), property_annotations, property_name, value, is_const
                        )
                    )
            except SyntaxAbort:
                self.depth = depth
                del self.scopes[scopes:]
                self.recover(property_first, inside=True)
        self.expect("}")
        if "actions" not in seen:
            self.diagnostics.error(Kind.EXPECTED, f"table '{name.text}' has no 'actions'", name.span)
        return ast.Table(
            self.span_from(first),
            annotations,
            name,
            None if keys is None else tuple(keys),
            tuple(actions),
            None if entries is None else tuple(entries),
            entries_const,
            tuple(properties),
        )

    def table_keys(self) -> list[ast.TableKey]:
        self.expect("{")
        keys = []
        while self.kinds[self.at] not in ("}", END):
            first = self.at
            expression = self.expression()
            self.expect(":", "after the key")
            match_kind = self.expect_name("a match kind")
            annotations = self.annotations()
            self.expect(";")
            keys.append(ast.TableKey(self.span_from(first), annotations, expression, match_kind))
        self.expect("}")
        return keys

    def table_actions(self) -> list[ast.ActionReference]:
        self.expect("{")
        actions = []
        while self.kinds[self.at] not in ("}", END):
            first = self.at
            annotations = self.annotations()
            actions.append(self.action_reference(annotations, first))
            self.expect(";")
        self.expect("}")
        return actions

    def action_reference(self, annotations: Annotations, first: int) -> ast.ActionReference:
        at = self.at
        absolute = self.accept(".")
        if self.kinds[self.at] not in VALUE_NAME_KINDS:
            self.fail_expected("an action's name")
        text = self.texts[self.at]
        self.at += 1
        path = ast.PathExpression(self.span_from(at), text, absolute)
        arguments = self.argument_list() if self.kinds[self.at] == "(" else None
        return ast.ActionReference(self.span_from(first), annotations, path, arguments)

    def table_entries(self) -> list[ast.TableEntry]:
        self.expect("{")
        entries = []
        while self.kinds[self.at] not in ("}", END):
            if self.diagnostics.full:
                raise SyntaxAbort
            first = self.at
            try:
                entries.append(self.table_entry(first))
            except SyntaxAbort:
                self.recover(first, inside=True)
        self.expect("}")
        return entries

    def table_entry(self, first: int) -> ast.TableEntry:
        is_const = self.accept("const")
        priority = None
        if self.kinds[self.at] == "priority" and self.kinds[self.at + 1] == "=":
            self.at += 2
            if self.kinds[self.at] == "(":
                self.at += 1
                priority = self.expression()
                self.expect(")")
            else:
                at = self.expect("<integer>")
                priority = self.integer(at)
            self.expect(":", "after the priority")
        keys = self.keyset()
        self.expect(":", "after the entry's keys")
        reference = self.action_reference((), self.at)
        annotations = self.annotations()
        self.expect(";")
        return ast.TableEntry(self.span_from(first), annotations, is_const, priority, keys, reference)
