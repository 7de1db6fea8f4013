"""The expressions of `#if` and `#elif`: integers, all of C's operators, `defined` already replaced."""

from __future__ import annotations

from p4compiler.source import Span
from p4compiler.syntax.macros import MacroToken

_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "|": 3,
    "^": 4,
    "&": 5,
    "==": 6,
    "!=": 6,
    "<": 7,
    ">": 7,
    "<=": 7,
    ">=": 7,
    "<<": 8,
    ">>": 8,
    "+": 9,
    "-": 9,
    "*": 10,
    "/": 10,
    "%": 10,
}
MAX_DEPTH = 200
MAX_SHIFT = 4096


class ConditionError(Exception):
    """The expression is wrong; `message` and `span` say how and where."""

    def __init__(self, message: str, span: Span | None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


def evaluate(tokens: list[MacroToken]) -> int:
    """The value of an expression; any name left in it is 0, as in C.

    Raises:
        ConditionError: it is not an expression, or it divides by zero.
    """
    parser = _Evaluator(tokens)
    value = parser.conditional(live=True, depth=0)
    rest = parser.peek()
    if rest:
        raise ConditionError(f"unexpected '{rest}' in the condition", parser.span())
    return value


class _Evaluator:
    def __init__(self, tokens: list[MacroToken]) -> None:
        self.tokens = _join_shifts(tokens)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def span(self) -> Span | None:
        if not self.tokens:
            return None
        return self.tokens[min(self.at, len(self.tokens) - 1)].span

    def conditional(self, live: bool, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ConditionError("the condition is nested too deeply", self.span())
        condition = self.binary(1, live, depth)
        if self.peek() != "?":
            return condition
        self.at += 1
        then = self.conditional(live and condition != 0, depth + 1)
        if self.peek() != ":":
            raise ConditionError("expected ':' in the condition", self.span())
        self.at += 1
        otherwise = self.conditional(live and condition == 0, depth + 1)
        return then if condition else otherwise

    def binary(self, least: int, live: bool, depth: int) -> int:
        """`live` is false in the part that a `&&`, `||` or `?:` leaves out: it must parse, and cannot fail."""
        left = self.unary(live, depth)
        while (precedence := _PRECEDENCE.get(operator := self.peek(), 0)) >= least:
            at = self.span()
            self.at += 1
            alive = live and not (operator == "&&" and left == 0) and not (operator == "||" and left != 0)
            right = self.binary(precedence + 1, alive, depth + 1)
            left = _apply(operator, left, right, at) if live else 0
        return left

    def unary(self, live: bool, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ConditionError("the condition is nested too deeply", self.span())
        text = self.peek()
        self.at += 1
        if text == "!":
            return int(not self.unary(live, depth + 1))
        if text == "-":
            return -self.unary(live, depth + 1)
        if text == "+":
            return self.unary(live, depth + 1)
        if text == "~":
            return ~self.unary(live, depth + 1)
        if text == "(":
            value = self.conditional(live, depth + 1)
            if self.peek() != ")":
                raise ConditionError("expected ')' in the condition", self.span())
            self.at += 1
            return value
        if text[:1].isdigit():
            return self.number(text)
        if text[:1].isalpha() or text[:1] == "_":
            return 0
        if text == "'" and [token.text for token in self.tokens[self.at + 1 : self.at + 2]] == ["'"]:
            character = self.peek()
            if len(character) == 1:
                self.at += 2
                return ord(character)
        self.at -= 1
        found = f"'{text}'" if text else "the end of the line"
        raise ConditionError(f"expected a number in the condition, found {found}", self.span())

    def number(self, text: str) -> int:
        digits = text.rstrip("uUlL")
        try:
            if len(digits) > 4096:
                raise ValueError
            if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
                return int(digits, 8)
            return int(digits, 0)
        except ValueError:
            self.at -= 1
            raise ConditionError(f"'{text[:40]}' is not a number", self.span()) from None


def _join_shifts(tokens: list[MacroToken]) -> list[MacroToken]:
    """`>` `>` side by side is C's shift (P4's lexer never joins them)."""
    result: list[MacroToken] = []
    for token in tokens:
        if result and token.text == ">" and result[-1].text == ">" and not token.space:
            left = result.pop()
            result.append(MacroToken(">>", left.file, left.start, token.end, left.space, left.expansion))
        else:
            result.append(token)
    return result


def _apply(operator: str, left: int, right: int, at: Span | None) -> int:
    match operator:
        case "||":
            return int(left != 0 or right != 0)
        case "&&":
            return int(left != 0 and right != 0)
        case "|":
            return left | right
        case "^":
            return left ^ right
        case "&":
            return left & right
        case "==":
            return int(left == right)
        case "!=":
            return int(left != right)
        case "<":
            return int(left < right)
        case ">":
            return int(left > right)
        case "<=":
            return int(left <= right)
        case ">=":
            return int(left >= right)
        case "<<" | ">>":
            if not 0 <= right <= MAX_SHIFT:
                raise ConditionError("shift by an impossible amount in the condition", at)
            return left << right if operator == "<<" else left >> right
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            if right == 0:
                raise ConditionError("division by zero in the condition", at)
            quotient = abs(left) // abs(right)
            quotient = quotient if (left < 0) == (right < 0) else -quotient
            return quotient if operator == "/" else left - quotient * right
