"""The modules of the page become one script that does what they do."""

import re

import pytest

from services.query.routes.page_files import WEB
from services.query.routes.page_modules import UnreadableModule, as_one_script, read_module

MODULES = {
    "app.js": (
        'import { day as today, twice } from "./parts/time.js";\nimport write from "./write.js";\nwrite(today);\n'
    ),
    "parts/time.js": (
        'import {\n  double,\n  HOUR as hour,\n} from "./numbers.js";\n'
        "export const day = 24 * hour;\nexport { double as twice };\n"
    ),
    "parts/numbers.js": "export const HOUR = 3_600_000;\nexport function double(value) { return 2 * value; }\n",
    "write.js": "const log = [];export default function(line){log.push(line)}",
}


def test_a_module_comes_after_those_that_it_imports() -> None:
    script = as_one_script(MODULES, "app.js")
    assert re.findall(r"// (\S+\.js)$", script, re.MULTILINE) == [
        "parts/numbers.js",
        "parts/time.js",
        "write.js",
        "app.js",
    ]


def test_imports_and_exports_become_the_values_of_functions() -> None:
    assert (
        as_one_script(MODULES, "app.js")
        == """\
const module_parts_numbers = (() => { // parts/numbers.js
const HOUR = 3_600_000;
function double(value) { return 2 * value; }

return { HOUR, double };
})();
const module_parts_time = (() => { // parts/time.js
const { double, HOUR: hour } = module_parts_numbers;



const day = 24 * hour;


return { twice: double, day };
})();
const module_write = (() => { // write.js
const log = [];const module_default = function(line){log.push(line)}
return { default: module_default };
})();
const module_app = (() => { // app.js
const { day: today, twice } = module_parts_time;
const { default: write } = module_write;
write(today);

return {  };
})();
"""
    )


def test_a_module_hands_on_what_another_exports() -> None:
    module = read_module("lib.js", 'export {\n  useId, useState as state,\n} from "./vendor/hooks.js";\n')
    assert module.exports == {"useId": "module_vendor_hooks.useId", "state": "module_vendor_hooks.useState"}
    assert module.imports == (("vendor/hooks.js", "useId"), ("vendor/hooks.js", "useState"))


def test_a_minified_module_in_one_line_is_read() -> None:
    module = read_module(
        "v/hooks.js", 'import{options as n}from"./preact.js";var b=n;function c(){}export{b as use,c as c2};\n'
    )
    assert module.text == "const { options: n } = module_v_preact;var b=n;function c(){}\n"
    assert module.exports == {"use": "b", "c2": "c"}


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("export let count = 0;", "export let count"),
        ('import * as all from "./b.js";', r"import \* as all"),
        ('export * from "./b.js";', r"export \* from"),
        ("import './b.js';", "import './b.js'"),
        ('const later = import("./b.js");', r"import\(\"./b.js\"\)"),
        ("const here = import.meta.url;", "import.meta.url"),
        ('import { c } from "./c.js";', "c.js, which is not there"),
        ('import { b, none } from "./b.js";', "b.js does not export none"),
        ('import { b } from "./a.js";', "imports itself"),
    ],
)
def test_what_cannot_be_part_of_one_script_is_named(source: str, wrong: str) -> None:
    with pytest.raises(UnreadableModule, match=f"the module a.js of the page: .*{wrong}"):
        as_one_script({"a.js": source, "b.js": "export const b = 1;"}, "a.js")


def test_the_text_of_the_page_is_kept_line_by_line() -> None:
    for path in WEB.rglob("*.js"):
        source = path.read_text()
        assert read_module(path.relative_to(WEB).as_posix(), source).text.count("\n") == source.count("\n"), path
