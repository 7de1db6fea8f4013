"""What an expression may be used for: to be assigned to, or where a compile-time value is needed (sections 6.7, 18.1)."""

from __future__ import annotations

from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CallKind
from p4compiler.types.inference import Inference

OUTPUTS = (ast.Direction.OUT, ast.Direction.INOUT)


class Uses(Inference):
    def is_lvalue(self, expression: ast.Expression) -> bool:
        """The expression can be assigned to (section 6.7)."""
        match expression:
            case ast.PathExpression():
                declaration = self.checked.declaration_of.get(expression)
                if isinstance(declaration, ast.Parameter):
                    return declaration.direction in OUTPUTS
                return isinstance(declaration, ast.Variable)
            case ast.Member():
                if isinstance(expression.base, ast.TypeNameExpression):
                    return False
                base = self.type_of.get(expression.base)
                if isinstance(base, model.StackType) and expression.member.text in ("lastIndex", "size"):
                    return False
                if isinstance(base, model.ApplyResultType | model.ObjectType):
                    return False
                return self.is_lvalue(expression.base)
            case ast.Index():
                return self.is_lvalue(expression.base)
            case ast.Slice():
                return self.is_lvalue(expression.base)
        return False

    def is_compile_time(self, expression: ast.Expression) -> bool:
        """The value is known at compile time, or will be when constructors are evaluated."""
        if expression in self.constant_of:
            return True
        match expression:
            case ast.PathExpression():
                declaration = self.checked.declaration_of.get(expression)
                if isinstance(declaration, ast.Parameter):
                    return declaration.direction is ast.Direction.NONE
                return isinstance(declaration, ast.Constant | ast.Instantiation)
            case ast.This() | ast.InvalidHeader() | ast.DefaultLiteral() | ast.DontCare():
                return True
            case ast.Member():
                return isinstance(expression.base, ast.TypeNameExpression) or self.is_compile_time(expression.base)
            case ast.Index():
                return self.is_compile_time(expression.base) and self.is_compile_time(expression.index)
            case ast.Slice():
                return self.is_compile_time(expression.base)
            case ast.Unary():
                return self.is_compile_time(expression.operand)
            case ast.Cast():
                return self.is_compile_time(expression.operand)
            case ast.Binary():
                return self.is_compile_time(expression.left) and self.is_compile_time(expression.right)
            case ast.Conditional():
                parts = (expression.condition, expression.then, expression.otherwise)
                return all(self.is_compile_time(part) for part in parts)
            case ast.ListExpression():
                return all(self.is_compile_time(element) for element in expression.elements)
            case ast.StructExpression():
                return all(self.is_compile_time(item.value) for item in expression.fields)
            case ast.Call():
                call = self.checked.call_of.get(expression)
                if call is None:
                    return False
                if call.kind is CallKind.CONSTRUCTOR:
                    return True
                pure = isinstance(call.target, ast.ExternFunction) and (
                    isinstance(call.return_type, model.ObjectType)
                    or any(a.name == "pure" for a in call.target.annotations)
                )
                return pure and all(a is not None and self.is_compile_time(a) for a in call.arguments)
        return False
