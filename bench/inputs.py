"""Inputs that programs make: C for the compilers, a problem for z3. The same text for the same scale, everywhere."""


def c_source(scale):
    """C that needs no header: records in lists, loops over tables, switches, calls from one function to the next."""
    parts = ["typedef unsigned int u32;\ntypedef unsigned long size_t;\nextern int printf(const char *, ...);\n"
             "extern void *malloc(size_t);\nextern void free(void *);\n"]
    count = max(2, round(110 * scale))
    for i in range(count):
        width = i % 5 + 3
        cases = "\n".join(f"    case {k}: state = (state ^ {k * 2654435761 % 4294967296}u) * {2 * k + i % 9 + 3}u; "
                          f"if (state & {1 << k % 20}u) list = list->next; else state += 7; break;" for k in range(10))
        parts.append(f"""
struct item{i} {{ u32 key, weight[{width}]; struct item{i} *next; const char *name; }};
static const u32 table{i}[16] = {{ {', '.join(str((i * 31 + k * k * 17) % 997) for k in range(16))} }};
static u32 walk{i}(const struct item{i} *list, u32 state)
{{
    while (list != 0 && list->next != 0) {{
        switch (state % 12) {{
{cases}
        default: list = list->next;
        }}
        for (int k = 0; k < {width}; k++)
            state += list->weight[k] * table{i}[(state >> k) & 15];
    }}
    return state;
}}
u32 run{i}(u32 state)
{{
    struct item{i} *list = 0;
    for (u32 k = 0; k < {20 + i % 13}; k++) {{
        struct item{i} *one = malloc(sizeof *one);
        one->key = k ^ state;
        one->name = k % 2 ? "odd {i}" : "even {i}";
        for (u32 j = 0; j < {width}; j++)
            one->weight[j] = state + j * k * table{i}[(k + j) & 15];
        one->next = list;
        list = one;
    }}
    state = walk{i}(list, state);
    while (list) {{
        struct item{i} *next = list->next;
        if (list->key % 3 == 0)
            state += (u32)list->name[0] * {i}u;
        free(list);
        list = next;
    }}
    return state{f' + run{i - 1}(state >> 1)' if i else ''};
}}
""")
    parts.append(f'int main(void) {{ printf("%u\\n", run{count - 1}(1u)); return 0; }}\n')
    return "".join(parts)


def z3_problem(scale):
    """Schedules of jobs on machines, in integers with an array of prices; each is solved, counted and dropped."""
    parts = ["(set-option :smt.random_seed 7)\n"]
    for turn in range(max(1, round(16 * scale))):
        jobs, machines, limit = 8, 4, 46 + turn % 4
        parts.append("(push)\n(declare-const price (Array Int Int))\n")
        tasks = [(job, step) for job in range(jobs) for step in range(machines)]
        length = {task: 2 + (task[0] * 7 + task[1] * 5 + turn) % 6 for task in tasks}
        machine = {task: (task[0] * 3 + task[1] * (1 + task[0] % 3) + turn) % machines for task in tasks}
        for job, step in tasks:
            parts.append(f"(declare-const s_{job}_{step} Int)\n(assert (>= s_{job}_{step} 0))\n"
                         f"(assert (<= (+ s_{job}_{step} {length[job, step]}) {limit}))\n")
            if step:
                parts.append(f"(assert (>= s_{job}_{step} (+ s_{job}_{step - 1} {length[job, step - 1]})))\n")
        for a in tasks:
            for b in tasks:
                if a < b and a[0] != b[0] and machine[a] == machine[b]:
                    x, y = f"s_{a[0]}_{a[1]}", f"s_{b[0]}_{b[1]}"
                    parts.append(f"(assert (or (>= {x} (+ {y} {length[b]})) (>= {y} (+ {x} {length[a]}))))\n")
        for job in range(jobs):
            parts.append(f"(assert (>= (select price s_{job}_0) {job}))\n"
                         f"(assert (= (select price (+ s_{job}_1 1)) {job + 3}))\n")
        parts.append("(check-sat)\n(pop)\n")
    return "".join(parts)
