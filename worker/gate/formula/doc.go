// Package formula compiles the formula by which gateways score members: arithmetic over the names of statistics, such as
//
//	queue_wait_ms + 100 * (1 - cpu_idle)
//
// A formula has numbers, names, + - * / ** and brackets, comparisons with ?: and the functions abs, ceil, floor, max, min and round. It
// has no loop, no list, no text and no call of anything else, at most [MaxLength] bytes and [MaxNodes] parts: it ends after so many steps, and
// needs no memory that depends on the values.
//
// The language is that of github.com/expr-lang/expr, of which this package allows a part. A library is used because a parser with
// precedence, positions in its errors and a compiler is a program of its own, and this one is proven. It stands apart from package gate
// so that a program which picks by its own Go code does not link it.
//
// [Formula.Score] is for gate.Score.Formula. [Formula.Warnings] says which statistics a formula counts the wrong way round: as those of
// (ram*(1-(cpu*0.01))*elapsedtime)/3, where cpu is the share that is not used, so that no order of the results is right for all three.
package formula
