# Libraries of picture formats: CONVOY_IMAGE_LIBRARIES to link, and CONVOY_IMAGE_LEFT_OUT, a regular expression of the
# sources that this system does without. Not every system has those for WebP and TIFF; such pictures are then refused by
# name (image_no_webp.cpp, image_no_tiff.cpp).
find_package(JPEG REQUIRED)  # libjpeg-turbo's, which can decode a part of a picture
find_package(PNG REQUIRED)
set(CONVOY_IMAGE_LIBRARIES JPEG::JPEG PNG::PNG)
set(left_out)
foreach(pair TIFF:TIFF::TIFF WebP:WebP::webp)
  string(REGEX MATCH "^([^:]+):(.+)$" pair ${pair})
  set(format ${CMAKE_MATCH_1})
  set(library ${CMAKE_MATCH_2})
  string(TOLOWER ${format} name)
  find_package(${format} QUIET)
  if(TARGET ${library})
    list(APPEND CONVOY_IMAGE_LIBRARIES ${library})
    list(APPEND left_out image_no_${name})
  else()
    message(STATUS "Without lib${name}: ${format} pictures are refused")
    list(APPEND left_out image_${name})
  endif()
endforeach()
list(JOIN left_out "|" left_out)
set(CONVOY_IMAGE_LEFT_OUT "/(${left_out})[.]cpp$")
