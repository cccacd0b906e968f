"""The sentences of fixtures: what they mean, and that they are no way to run code."""

from __future__ import annotations

import numpy as np
import pytest

from tests.parity import fill
from tests.parity.expressions import ExpressionError, assignments, evaluate, picture, split


@pytest.mark.parametrize(
    ("sentence", "expression"),
    [
        ("0.4*inputs('surface',(2,300,6),salt): xyz then normals", "0.4*inputs('surface',(2,300,6),salt)"),
        ("inputs('pixel_values',(4,3,8,8),salt) (already normalised)", "inputs('pixel_values',(4,3,8,8),salt)"),
        ("img(120,90,0); img(h,w,salt): k=x*(3+c)", "img(120,90,0)"),
        ("img(240,240,0+i) without alpha, i=0..3", "img(240,240,0+i)"),
        ("2 * salt + inputs('a', (1,), 0)", "2 * salt + inputs('a', (1,), 0)"),
        ("1 - norm(p) (positive inside)", "1 - norm(p)"),
    ],
)
def test_words_for_people_are_cut_off(sentence: str, expression: str) -> None:
    assert split(sentence)[0] == expression


def test_calls_give_the_filled_arrays() -> None:
    np.testing.assert_array_equal(
        evaluate("0.4*inputs('surface',(2,30,6),salt): xyz then normals", 3),
        0.4 * fill.inputs("surface", (2, 30, 6), 3),
    )
    np.testing.assert_array_equal(
        evaluate('fill.uniform("q",[2,3],-1.1,1.1,1)', 0), fill.uniform("q", (2, 3), -1.1, 1.1, 1)
    )
    np.testing.assert_array_equal(
        evaluate("inputs('noise',same)", 2, {"same": (4, 1)}), fill.inputs("noise", (4, 1), 2)
    )
    occupied = evaluate("inputs('occ',...)>0", 0, {"same": (3, 5)})
    np.testing.assert_array_equal(occupied, fill.inputs("occ", (3, 5)) > 0)
    eps = evaluate("inputs('eps', mean.shape)", 0, {"mean": np.zeros((2, 2))})
    np.testing.assert_array_equal(eps, fill.inputs("eps", (2, 2)))
    third = evaluate("uint8(uniform(f'img{i}',(4,4),0,256,salt)) RGBA, files 0.png..7.png", 0, {"i": 3})
    np.testing.assert_array_equal(third, fill.uniform("img3", (4, 4), 0, 256).astype(np.uint8))


def test_results_stay_in_single_precision() -> None:
    points = fill.uniform("p", (9, 3), -1, 1)
    values = evaluate("7*max(0.22-hypot(p_x, 1), 0.3-norm(p-(0.25,-0.1,0.55)))", 0, {"p": points, "p_x": points[:, 0]})
    ball = 0.3 - np.linalg.norm(points - np.array([0.25, -0.1, 0.55], np.float32), axis=-1)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, 7 * np.maximum(0.22 - np.hypot(points[:, 0], 1), ball))
    np.testing.assert_array_equal(evaluate("0.5-|p|", 0, {"p": points}), evaluate("0.5-norm(p)", 0, {"p": points}))
    assert evaluate("2^3 + 10%4 - 7//2", 0) == 7


def test_the_picture_is_the_formula_pixel_by_pixel() -> None:
    height, width, salt, coverage = 7, 11, 2, 25
    pixels = evaluate(f"img({height},{width},{salt}) with A={coverage}; words", 0)
    np.testing.assert_array_equal(pixels, picture(height, width, salt, coverage))
    for y in range(height):
        for x in range(width):
            for c in range(3):
                k = x * (3 + c) + y * (5 - c) + (x * y) // (40 + c) + 37 * c + 11 * salt
                assert pixels[y, x, c] == abs(k % 510 - 255)
            distance = (2 * x + 1 - width) ** 2 * height**2 + (2 * y + 1 - height) ** 2 * width**2
            assert pixels[y, x, 3] == (255 if distance * 100 < coverage * width**2 * height**2 else 0)
    assert evaluate("img(8,8,0)", 0)[..., 3].sum() > evaluate("img(8,8,0) with A=25", 0)[..., 3].sum()


def test_assignments_are_taken_apart() -> None:
    sentence = "keys surface=float16(0.4*inputs('s',(4,6),salt)), rand_points=uniform('r',(3,3)), sdfs=0.5-|p| (inside)"
    assert assignments(sentence) == {
        "surface": "float16(0.4*inputs('s',(4,6),salt))",
        "rand_points": "uniform('r',(3,3))",
        "sdfs": "0.5-|p| (inside)",
    }
    assert assignments("a=norm(p)<0.3; b=2") == {"a": "norm(p)<0.3", "b": "2"}


@pytest.mark.parametrize(
    "sentence",
    [
        "__import__('os').system('true')",
        "(1).__class__.__bases__",
        "inputs.__globals__",
        "p.tobytes()",
        "p.__class__",
        "np.load('file')",
        "os.getcwd()",
        "open('file')",
        "eval('1')",
        "[x for x in (1,2)]",
        "{1: 2}",
        "(lambda: 1)()",
        "(p := 3)",
        "p[0]",
        "inputs('a',(2,2),salt=3)",
        "inputs(*(1,2))",
        "f'{p!r}'",
        "f'{salt:>99}'",
        "inputs('a',(10**9,10**9))",
        "inputs('a',(-1,2))",
        "inputs('a',(1,20000,1))+inputs('b',(20000,1,1))+inputs('c',(1,1,20000))",
        "max(inputs('a',(1,30000)), inputs('b',(30000,1)))",
        "img(100000,100000,0)",
        "9**9**9",
        "((10**16)**16)**16",
        "'a'*1000000000",
        "-" * 900 + "1",
        "(" * 300 + "1" + ")" * 300,
        "1+" * 600 + "1",
        "unknown",
        "same",
        "inputs('a',...)",
        "True",
        "1j",
        "b'a'",
        "0 < 1 < 2",
        "not 1",
        "",
    ],
)
def test_everything_else_is_refused(sentence: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(sentence, 0, {"p": np.zeros((2, 3), np.float32)})
