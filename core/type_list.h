// A list of types, as data for templates.
#pragma once

#include <variant>

namespace convoy {

template <class... Ts>
struct TypeList {};

namespace detail {
template <class... Lists>
struct Concat;
template <class... Ts>
struct Concat<TypeList<Ts...>> {
  using type = TypeList<Ts...>;
};
template <class... Ts, class... Us, class... More>
struct Concat<TypeList<Ts...>, TypeList<Us...>, More...> : Concat<TypeList<Ts..., Us...>, More...> {};

template <class List>
struct ToVariant;
template <class... Ts>
struct ToVariant<TypeList<Ts...>> {
  using type = std::variant<Ts...>;
};
}  // namespace detail

/// The types of all lists, one after the other.
template <class... Lists>
using ConcatLists = typename detail::Concat<Lists...>::type;

/// std::variant of the list's types.
template <class List>
using VariantOf = typename detail::ToVariant<List>::type;

/// Calls function.operator()<T>() for each type of the list, in its order.
template <class... Ts, class Function>
constexpr void for_each_type(TypeList<Ts...>, Function&& function) {
  (function.template operator()<Ts>(), ...);
}

}  // namespace convoy
