// Into the encoder's square and back to the picture: the pre- and postprocessing of Segmenter.kt.
//
// Compiled and run on a computer, where it gives ../reference.py's bytes (tests/firmware/test_android_kotlin.py).
package org.edgesam

import java.nio.FloatBuffer
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

/** A picture in the top left of the encoder's square: its longer side fills it. */
class Fit(val width: Int, val height: Int, val side: Int) {
    private val scale = side.toDouble() / max(width, height)

    /** Size inside the square; halves are rounded up. */
    val scaledWidth = max(1, (width * scale + 0.5).toInt())
    val scaledHeight = max(1, (height * scale + 0.5).toInt())

    /** Picture px to sides of the square. */
    fun unitX(x: Float): Float = x * (scaledWidth.toFloat() / width / side)
    fun unitY(y: Float): Float = y * (scaledHeight.toFloat() / height / side)

    /** Height and width that the decoder looks at, sides of the square. */
    fun covered(multiple: Int): FloatArray =
        floatArrayOf(roundedUp(scaledHeight, multiple) / side.toFloat(), roundedUp(scaledWidth, multiple) / side.toFloat())

    private fun roundedUp(n: Int, multiple: Int) = (n + multiple - 1) / multiple * multiple
}

/** Where output pixel [i] lies between two input pixels: centres at half, edges repeated. */
private class Between(i: Int, grow: Double, length: Int) {
    private val at = ((i + 0.5) / grow - 0.5).coerceIn(0.0, (length - 1).toDouble())
    val low = floor(at).toInt()
    val high = min(low + 1, length - 1)
    val share = (at - low).toFloat()

    fun mix(a: Float, b: Float): Float = a * (1 - share) + b * share
}

/** [rgb], height x width x 3, into the square, side x side x 3; what is left is [padValue]. */
fun toSquare(rgb: ByteArray, fit: Fit, padValue: Int): ByteArray {
    val square = ByteArray(fit.side * fit.side * 3) { padValue.toByte() }
    val columns = List(fit.scaledWidth) { Between(it, fit.scaledWidth.toDouble() / fit.width, fit.width) }
    fun level(y: Int, x: Int, channel: Int) = (rgb[(y * fit.width + x) * 3 + channel].toInt() and 0xFF).toFloat()
    for (y in 0 until fit.scaledHeight) {
        val rows = Between(y, fit.scaledHeight.toDouble() / fit.height, fit.height)
        for ((x, column) in columns.withIndex()) {
            for (channel in 0..2) {
                val left = rows.mix(level(rows.low, column.low, channel), level(rows.high, column.low, channel))
                val right = rows.mix(level(rows.low, column.high, channel), level(rows.high, column.high, channel))
                square[(y * fit.side + x) * 3 + channel] = round(column.mix(left, right)).toInt().toByte()
            }
        }
    }
    return square
}

/** Logits, [cells] x [cells], to a mask at the size of the picture: padding cut off, resized, cut at [threshold]. */
fun toPicture(logits: FloatBuffer, cells: Int, fit: Fit, score: Float, threshold: Float): Mask {
    val perPixel = cells.toDouble() / fit.side
    val high = fit.scaledHeight * perPixel
    val wide = fit.scaledWidth * perPixel
    val rowCount = ceil(high).toInt()
    val columnCount = ceil(wide).toInt()
    val columns = List(fit.width) { Between(it, fit.width / wide, columnCount) }
    val inside = BooleanArray(fit.width * fit.height)
    for (y in 0 until fit.height) {
        val rows = Between(y, fit.height / high, rowCount)
        for ((x, column) in columns.withIndex()) {
            val left = rows.mix(logits.get(rows.low * cells + column.low), logits.get(rows.high * cells + column.low))
            val right = rows.mix(logits.get(rows.low * cells + column.high), logits.get(rows.high * cells + column.high))
            inside[y * fit.width + x] = column.mix(left, right) > threshold
        }
    }
    return Mask(inside, fit.width, fit.height, score)
}
