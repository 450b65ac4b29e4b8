package formula

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/tinehq/tine/ipc/members"
)

// The bounds of a formula.
const (
	MaxLength = 1000 // bytes
	MaxNodes  = 200  // numbers, names and operators
)

// Formula computes a number from the statistics of one member. It may be used by all goroutines at once.
type Formula struct {
	program *vm.Program
	uses    []name
}

// name is a word of a formula.
type name struct {
	word   string
	stat   members.Stat
	factor float64 // word = factor x stat
}

// documented are the words of a formula that people copy: of free memory in bytes, of the percentage of the CPU that is not used, and of
// the round trip in seconds.
var documented = []name{{"ram", members.MemoryFree, 1}, {"cpu", members.CPUIdle, 100}, {"elapsedtime", members.RTT, 0.001}}

// functions are those that a formula may call.
var functions = []string{"abs", "ceil", "floor", "max", "min", "round"}

// UnknownError is the error of a name that is no statistic.
type UnknownError struct {
	Name  string
	Known []string // sorted
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no statistic %q: there are %s", e.Name, strings.Join(e.Known, ", "))
}

// Compile compiles text. It may use the statistics that Tine knows, and those of own, which the caller's members report. The error of
// a name that is neither is an [*UnknownError].
func Compile(text string, own ...members.Stat) (*Formula, error) {
	fail := func(err error) (*Formula, error) {
		return nil, fmt.Errorf("cannot use the formula %.100q: %w", text, err)
	}
	if len(text) > MaxLength {
		return fail(fmt.Errorf("it has %d bytes: at most %d are allowed", len(text), MaxLength))
	}
	known := slices.Clone(documented)
	for _, s := range append(slices.Clone(members.Stats), own...) {
		known = append(known, name{string(s), s, 1})
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return fail(err)
	}
	c := check{known: known}
	ast.Walk(&tree.Node, &c)
	if c.err != nil {
		return fail(c.err)
	}
	if len(c.uses) == 0 {
		return fail(errors.New("it has no statistic: every member would have the same score"))
	}
	types := make(map[string]float64, len(c.uses))
	for _, n := range c.uses {
		types[n.word] = 0
	}
	options := []expr.Option{expr.Env(types), expr.AsFloat64(), expr.MaxNodes(MaxNodes), expr.DisableAllBuiltins()}
	for _, f := range functions {
		options = append(options, expr.EnableBuiltin(f))
	}
	program, err := expr.Compile(text, options...)
	if err != nil {
		return fail(err)
	}
	return &Formula{program: program, uses: c.uses}, nil
}

// check visits a formula: what it does not know is refused, so that nothing in it can take long or much memory.
type check struct {
	known []name
	uses  []name
	err   error
}

func (c *check) Visit(node *ast.Node) {
	if c.err != nil {
		return
	}
	switch n := (*node).(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.ConditionalNode:
	case *ast.UnaryNode:
		c.allow(n.Operator, "+", "-", "!", "not")
	case *ast.BinaryNode:
		c.allow(n.Operator, "+", "-", "*", "/", "**", "^", "<", "<=", ">", ">=", "==", "!=", "&&", "and", "||", "or")
	case *ast.BuiltinNode:
		c.allow(n.Name, functions...)
	case *ast.IdentifierNode:
		at := slices.IndexFunc(c.known, func(k name) bool { return k.word == n.Value })
		switch {
		case at < 0:
			c.err = &UnknownError{Name: n.Value, Known: words(c.known)}
		case !slices.Contains(c.uses, c.known[at]):
			c.uses = append(c.uses, c.known[at])
		}
	default:
		c.err = fmt.Errorf("%s is not arithmetic: numbers, names of statistics, + - * / ** ?: and %s are allowed", n.String(), strings.Join(functions, ", "))
	}
}

func (c *check) allow(word string, all ...string) {
	if !slices.Contains(all, word) {
		c.err = fmt.Errorf("%s is not allowed: write %s", word, strings.Join(all, " "))
	}
}

func words(all []name) []string {
	out := make([]string, len(all))
	for i, n := range all {
		out[i] = n.word
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Score is the number of a member with these statistics; false: one that the formula uses is missing. It is not always finite.
func (f *Formula) Score(stats map[members.Stat]members.Value) (float64, bool) {
	values := make(map[string]float64, len(f.uses))
	for _, n := range f.uses {
		v, ok := stats[n.stat]
		if !ok {
			return 0, false
		}
		values[n.word] = n.factor * v
	}
	return f.run(values)
}

func (f *Formula) run(values map[string]float64) (float64, bool) {
	out, err := expr.Run(f.program, values)
	v, ok := out.(float64)
	return v, ok && err == nil
}
