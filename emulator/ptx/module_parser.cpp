#include <charconv>
#include <utility>

#include "ptx/parse_state.hpp"

// PTX ISA 11: directives at module scope.
namespace emu::ptx {

namespace {
constexpr std::uint64_t largest_parameter_block = 32764;  // in bytes; PTX ISA 5.1.6
constexpr std::uint64_t largest_limit = 0xffff'ffff;
}  // namespace

class ModuleParser {
 public:
  explicit ModuleParser(std::string text)
      : module_(std::move(text)), state_(module_, module_.text()), cursor_(state_.cursor) {
    state_.names.open();
  }

  Module parse() {
    while (!cursor_.at_end()) parse_directive();
    if (module_.version_major == 0) cursor_.fail_at(1, "the text has no .version");
    resolve_relocations();
    resolve_aliases();
    return std::move(module_);
  }

 private:
  struct Linkage {
    bool external = false;
  };

  void parse_directive() {
    if (cursor_.accept(';')) return;
    if (!cursor_.at_directive()) cursor_.fail("a directive is expected before " + quoted(cursor_.peek().text));
    Linkage linkage;
    while (cursor_.at_word(".visible") || cursor_.at_word(".extern") || cursor_.at_word(".weak") ||
           cursor_.at_word(".common"))
      linkage.external |= cursor_.next().text == ".extern";
    const int line = cursor_.line();
    if (!cursor_.at_directive()) cursor_.fail("a declaration is expected before " + quoted(cursor_.peek().text));
    const std::string_view word = cursor_.next().text;
    if (word == ".version") {
      parse_version();
    } else if (word == ".target") {
      module_.target = cursor_.expect_name("a target");
      while (cursor_.accept(',')) cursor_.expect_name("an option of the target");
    } else if (word == ".address_size") {
      module_.address_bits = static_cast<int>(cursor_.expect_unsigned("32 or 64", 64));
      if (module_.address_bits != 64) cursor_.fail_at(line, "only addresses of 64 bits are supported");
    } else if (word == ".file") {
      parse_file(state_);
    } else if (word == ".loc") {
      parse_location(state_);
    } else if (word == ".section") {
      parse_section(state_);
    } else if (word == ".pragma") {
      cursor_.expect_string("a pragma");
      cursor_.accept(';');
    } else if (word == ".global" || word == ".const" || word == ".shared") {
      parse_variables(word == ".global" ? Space::global : word == ".const" ? Space::constant : Space::shared, linkage);
    } else if (word == ".func" || word == ".entry") {
      parse_function(word == ".entry", line);
    } else if (word == ".alias") {
      parse_alias();
    } else {
      cursor_.fail_at(line, "the directive " + quoted(word) + " is not understood");
    }
  }

  void parse_version() {
    const std::string_view text = cursor_.peek().text;
    const char* const end = text.data() + text.size();
    auto [at, error] = std::from_chars(text.data(), end, module_.version_major);
    if (error == std::errc{} && at != end && *at == '.')
      std::tie(at, error) = to_pair(std::from_chars(at + 1, end, module_.version_minor));
    if (!cursor_.at_number() || error != std::errc{} || at != end || module_.version_major < 1)
      cursor_.fail("a version like 8.7 is expected before " + quoted(text));
    cursor_.next();
  }

  static std::pair<const char*, std::errc> to_pair(std::from_chars_result result) { return {result.ptr, result.ec}; }

  void parse_variables(Space space, Linkage linkage) {
    do {
      std::vector<ParseState::PendingRelocation> pending;
      Variable variable = parse_variable(state_, space, space == Space::shared ? nullptr : &pending);
      variable.external = linkage.external;
      if (variable.type >= Type::texref) cursor_.fail("textures, samplers and surfaces are not supported");
      const std::string_view name = variable.name;
      Name* known = state_.names.find(name);
      Index index = static_cast<Index>(module_.variables.size());
      if (!known) {
        state_.names.declare(name, {Name::Kind::variable, index});
        module_.variable_names_[name] = index;
        module_.variables.push_back(std::move(variable));
      } else if (known->kind == Name::Kind::variable &&
                 (variable.external || module_.variables[known->index].external)) {
        // A declaration and its definition, in either order.
        index = known->index;
        if (!variable.external)
          module_.variables[index] = std::move(variable);
        else
          pending.clear();
      } else {
        cursor_.fail(quoted(name) + " is declared twice");
      }
      for (auto& relocation : pending) {
        relocation.variable = index;
        state_.relocations.push_back(relocation);
      }
    } while (cursor_.accept(','));
    cursor_.expect(';');
  }

  void parse_function(bool is_kernel, int line) {
    while (cursor_.accept(".attribute")) skip_parentheses();
    Function function;
    function.is_kernel = is_kernel;
    function.line = static_cast<Index>(line);
    function.has_body = false;
    if (!is_kernel && cursor_.at_punctuation('(')) function.results = parse_parameters(state_, function.result_bytes);
    function.name = cursor_.expect_name("the name of a function");
    cursor_.set_function(function.name);
    if (cursor_.at_punctuation('(')) function.parameters = parse_parameters(state_, function.parameter_bytes);
    if (is_kernel && function.parameter_bytes > largest_parameter_block)
      cursor_.fail_at(line, "the parameters take " + std::to_string(function.parameter_bytes) + " bytes, more than " +
                                std::to_string(largest_parameter_block));
    parse_limits(function);
    const Index index = declare(function, line);
    if (!cursor_.accept(';')) {
      function.has_body = true;
      state_.names.open();
      declare_parameters(function.parameters, Name::Kind::parameter);
      declare_parameters(function.results, Name::Kind::result);
      parse_body(state_, function);
      state_.names.close();
    }
    if (function.has_body || !module_.functions[index].has_body) module_.functions[index] = std::move(function);
    cursor_.set_function({});
  }

  void skip_parentheses() {
    cursor_.expect('(');
    for (int depth = 1; depth > 0; cursor_.next()) {
      if (cursor_.at_end()) cursor_.fail("the text ends where ')' is expected");
      depth += cursor_.at_punctuation('(');
      depth -= cursor_.at_punctuation(')');
    }
  }

  /// The index of the function, which may be declared before it is defined.
  Index declare(const Function& function, int line) {
    const Name* known = state_.names.find(function.name);
    if (known) {
      const bool body = cursor_.at_punctuation('{');
      if (known->kind != Name::Kind::function || (body && module_.functions[known->index].has_body) ||
          module_.functions[known->index].is_kernel != function.is_kernel)
        cursor_.fail_at(line, quoted(function.name) + " is declared twice");
      return known->index;
    }
    const auto index = static_cast<Index>(module_.functions.size());
    state_.names.declare(function.name, {Name::Kind::function, index});
    module_.function_names_[function.name] = index;
    module_.functions.push_back({});
    module_.functions.back().name = function.name;
    module_.functions.back().is_kernel = function.is_kernel;
    return index;
  }

  void declare_parameters(const std::vector<Parameter>& parameters, Name::Kind kind) {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i].name != "_" && !state_.names.declare(parameters[i].name, {kind, static_cast<Index>(i)}))
        cursor_.fail(quoted(parameters[i].name) + " is declared twice");
  }

  Index parse_limit() { return static_cast<Index>(cursor_.expect_unsigned("a limit", largest_limit)); }

  std::array<Index, 3> parse_extents() {
    std::array<Index, 3> extents{parse_limit(), 1, 1};
    for (int i = 1; i < 3 && cursor_.accept(','); ++i) extents[i] = parse_limit();
    return extents;
  }

  void parse_limits(Function& function) {
    LaunchBounds& bounds = function.bounds;
    while (cursor_.at_directive()) {
      const std::string_view word = cursor_.next().text;
      if (word == ".maxntid") {
        bounds.max_threads = parse_extents();
      } else if (word == ".reqntid") {
        bounds.required_threads = parse_extents();
      } else if (word == ".reqnctapercluster") {
        bounds.required_cluster = parse_extents();
      } else if (word == ".minnctapersm") {
        bounds.min_ctas_per_sm = parse_limit();
      } else if (word == ".maxnctapersm" || word == ".abi_preserve") {
        parse_limit();
      } else if (word == ".maxnreg") {
        bounds.max_registers = parse_limit();
      } else if (word == ".maxclusterrank") {
        bounds.max_cluster_rank = parse_limit();
      } else if (word == ".explicitcluster") {
        bounds.explicit_cluster = true;
      } else if (word == ".blocksareclusters") {
        bounds.blocks_are_clusters = true;
      } else if (word == ".noreturn") {
        function.no_return = true;
      } else if (word == ".pragma") {
        do {
          cursor_.expect_string("a pragma");
        } while (cursor_.accept(','));
        cursor_.accept(';');
      } else if (word != ".abi_preserve_control" && word != ".unique") {
        cursor_.fail("the directive " + quoted(word) + " is not understood");
      }
    }
  }

  Index function_named(std::string_view name) {
    const Name* known = state_.names.find(name);
    if (!known || known->kind != Name::Kind::function) cursor_.fail(quoted(name) + " is not a function");
    return known->index;
  }

  void parse_alias() {
    const Index alias = function_named(cursor_.expect_name("the name of a function"));
    cursor_.expect(',');
    const Index target = function_named(cursor_.expect_name("the name of a function"));
    cursor_.expect(';');
    if (module_.functions[alias].has_body || !module_.functions[target].has_body)
      cursor_.fail("an alias stands for a function with a body and has none");
    module_.functions[alias].alias_of = target;
    module_.function_names_[module_.functions[alias].name] = target;
    has_aliases_ = true;
  }

  void resolve_relocations() {
    for (const auto& pending : state_.relocations) {
      Relocation& relocation = module_.variables[pending.variable].relocations[pending.relocation];
      const Name* meaning = state_.names.find(pending.name);
      if (!meaning) cursor_.fail_at(pending.line, quoted(pending.name) + " is not declared");
      const bool function = meaning->kind == Name::Kind::function;
      relocation.symbol = function ? SymbolKind::function : SymbolKind::variable;
      relocation.index = meaning->index;
    }
  }

  /// No call and no address names an alias.
  void resolve_aliases() {
    if (!has_aliases_) return;
    const auto resolve = [&](Index& function) {
      if (function != no_index && module_.functions[function].alias_of != no_index)
        function = module_.functions[function].alias_of;
    };
    for (Function& function : module_.functions) {
      for (Operand& operand : function.operands)
        if (operand.symbol == SymbolKind::function) resolve(operand.index);
      for (Call& call : function.calls) {
        resolve(call.callee);
        for (Index& target : call.targets) resolve(target);
      }
    }
    for (Variable& variable : module_.variables)
      for (Relocation& relocation : variable.relocations)
        if (relocation.symbol == SymbolKind::function) resolve(relocation.index);
  }

  Module module_;
  ParseState state_;
  Cursor& cursor_;
  bool has_aliases_ = false;
};

Module Module::parse(std::string text) {
  if (text.size() >= no_index) throw ParseError(1, "the text is too long");
  return ModuleParser(std::move(text)).parse();
}

}  // namespace emu::ptx
